BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE plans (
	id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	instance VARCHAR(36) NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	error TEXT, 
	undoes INTEGER, 
	body TEXT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(run_id) REFERENCES runs (id)
);
INSERT INTO "plans" VALUES(1,1,'b145b388-3d57-44c3-b7de-a015ae30a22e','undone',NULL,NULL,'{"action":"image-property set","cell":"11111111-1111-4111-8111-111111111111","changes":[{"after":"scsi","before":"virtio","what":"hw_disk_bus"},{"after":"scsi","before":"virtio","what":"request_spec hw_disk_bus"},{"after":"virtio-scsi","before":{"absent":true},"what":"hw_scsi_model"},{"after":"virtio-scsi","before":{"absent":true},"what":"request_spec hw_scsi_model"},{"after":"scsi","before":"virtio","what":"block_device_mapping 1 disk_bus"},{"after":"/dev/sda","before":"/dev/vda","what":"block_device_mapping 1 device_name"},{"after":"/dev/sda","before":"/dev/vda","what":"root_device_name"},{"after":"scsi","before":"virtio","what":"block_device_mapping 2 disk_bus"},{"after":"/dev/sdb","before":"/dev/vdb","what":"block_device_mapping 2 device_name"}],"effects":[{"after":"scsi sda","before":"virtio vda","what":"root disk"},{"after":"scsi sdb","before":"virtio vdb","what":"volume vdb"}],"guard":{"kept_disks":[]},"host":"cmp1","instance":"b145b388-3d57-44c3-b7de-a015ae30a22e","name":"web-1","notes":[]}');
INSERT INTO "plans" VALUES(2,1,'04aeaecf-50d5-4df1-abc3-c51b6bf50670','undone',NULL,NULL,'{"action":"image-property set","cell":"11111111-1111-4111-8111-111111111111","changes":[{"after":"scsi","before":"virtio","what":"hw_disk_bus"},{"after":"scsi","before":"virtio","what":"request_spec hw_disk_bus"},{"after":"virtio-scsi","before":{"absent":true},"what":"hw_scsi_model"},{"after":"virtio-scsi","before":{"absent":true},"what":"request_spec hw_scsi_model"},{"after":"scsi","before":"virtio","what":"block_device_mapping 3 disk_bus"},{"after":"/dev/sda","before":"/dev/vda","what":"block_device_mapping 3 device_name"},{"after":"/dev/sda","before":"/dev/vda","what":"root_device_name"},{"after":"scsi","before":"virtio","what":"block_device_mapping 4 disk_bus"},{"after":"/dev/sdb","before":"/dev/vdb","what":"block_device_mapping 4 device_name"}],"effects":[{"after":"scsi sda","before":"virtio vda","what":"root disk"},{"after":"scsi sdb","before":"virtio vdb","what":"volume vdb"}],"guard":{"kept_disks":[]},"host":"cmp1","instance":"04aeaecf-50d5-4df1-abc3-c51b6bf50670","name":"web-1","notes":[]}');
INSERT INTO "plans" VALUES(3,2,'04aeaecf-50d5-4df1-abc3-c51b6bf50670','applied',NULL,2,'{"action":"image-property set","cell":"11111111-1111-4111-8111-111111111111","changes":[{"after":"virtio","before":"scsi","what":"hw_disk_bus"},{"after":"virtio","before":"scsi","what":"request_spec hw_disk_bus"},{"after":{"absent":true},"before":"virtio-scsi","what":"hw_scsi_model"},{"after":{"absent":true},"before":"virtio-scsi","what":"request_spec hw_scsi_model"},{"after":"virtio","before":"scsi","what":"block_device_mapping 3 disk_bus"},{"after":"/dev/vda","before":"/dev/sda","what":"block_device_mapping 3 device_name"},{"after":"/dev/vda","before":"/dev/sda","what":"root_device_name"},{"after":"virtio","before":"scsi","what":"block_device_mapping 4 disk_bus"},{"after":"/dev/vdb","before":"/dev/sdb","what":"block_device_mapping 4 device_name"}],"effects":[{"after":"virtio vda","before":"scsi sda","what":"root disk"},{"after":"virtio vdb","before":"scsi sdb","what":"volume vdb"}],"guard":{"kept_disks":[]},"host":"cmp1","instance":"04aeaecf-50d5-4df1-abc3-c51b6bf50670","name":"web-1","notes":[]}');
INSERT INTO "plans" VALUES(4,2,'b145b388-3d57-44c3-b7de-a015ae30a22e','applied',NULL,1,'{"action":"image-property set","cell":"11111111-1111-4111-8111-111111111111","changes":[{"after":"virtio","before":"scsi","what":"hw_disk_bus"},{"after":"virtio","before":"scsi","what":"request_spec hw_disk_bus"},{"after":{"absent":true},"before":"virtio-scsi","what":"hw_scsi_model"},{"after":{"absent":true},"before":"virtio-scsi","what":"request_spec hw_scsi_model"},{"after":"virtio","before":"scsi","what":"block_device_mapping 1 disk_bus"},{"after":"/dev/vda","before":"/dev/sda","what":"block_device_mapping 1 device_name"},{"after":"/dev/vda","before":"/dev/sda","what":"root_device_name"},{"after":"virtio","before":"scsi","what":"block_device_mapping 2 disk_bus"},{"after":"/dev/vdb","before":"/dev/sdb","what":"block_device_mapping 2 device_name"}],"effects":[{"after":"virtio vda","before":"scsi sda","what":"root disk"},{"after":"virtio vdb","before":"scsi sdb","what":"volume vdb"}],"guard":{"kept_disks":[]},"host":"cmp1","instance":"b145b388-3d57-44c3-b7de-a015ae30a22e","name":"web-1","notes":[]}');
INSERT INTO "plans" VALUES(5,3,'f6704c0c-d3b3-4f93-83e0-7770ba2bff6b','applied',NULL,NULL,'{"action":"image-property set","cell":"11111111-1111-4111-8111-111111111111","changes":[{"after":"scsi","before":"virtio","what":"hw_disk_bus"},{"after":"scsi","before":"virtio","what":"request_spec hw_disk_bus"},{"after":"virtio-scsi","before":{"absent":true},"what":"hw_scsi_model"},{"after":"virtio-scsi","before":{"absent":true},"what":"request_spec hw_scsi_model"},{"after":"scsi","before":"virtio","what":"block_device_mapping 5 disk_bus"},{"after":"/dev/sda","before":"/dev/vda","what":"block_device_mapping 5 device_name"},{"after":"/dev/sda","before":"/dev/vda","what":"root_device_name"},{"after":"scsi","before":"virtio","what":"block_device_mapping 6 disk_bus"},{"after":"/dev/sdb","before":"/dev/vdb","what":"block_device_mapping 6 device_name"}],"effects":[{"after":"scsi sda","before":"virtio vda","what":"root disk"},{"after":"scsi sdb","before":"virtio vdb","what":"volume vdb"}],"guard":{"kept_disks":[]},"host":"cmp1","instance":"f6704c0c-d3b3-4f93-83e0-7770ba2bff6b","name":"web-1","notes":[]}');
INSERT INTO "plans" VALUES(6,4,'ed7e4db6-2f5c-46b0-a5ce-d63cb1f6448b','started',NULL,NULL,'{"action":"image-property set","cell":"11111111-1111-4111-8111-111111111111","changes":[{"after":"scsi","before":"virtio","what":"hw_disk_bus"},{"after":"scsi","before":"virtio","what":"request_spec hw_disk_bus"},{"after":"virtio-scsi","before":{"absent":true},"what":"hw_scsi_model"},{"after":"virtio-scsi","before":{"absent":true},"what":"request_spec hw_scsi_model"},{"after":"scsi","before":"virtio","what":"block_device_mapping 7 disk_bus"},{"after":"/dev/sda","before":"/dev/vda","what":"block_device_mapping 7 device_name"},{"after":"/dev/sda","before":"/dev/vda","what":"root_device_name"},{"after":"scsi","before":"virtio","what":"block_device_mapping 8 disk_bus"},{"after":"/dev/sdb","before":"/dev/vdb","what":"block_device_mapping 8 device_name"}],"effects":[{"after":"scsi sda","before":"virtio vda","what":"root disk"},{"after":"scsi sdb","before":"virtio vdb","what":"volume vdb"}],"guard":{"kept_disks":[]},"host":"cmp1","instance":"ed7e4db6-2f5c-46b0-a5ce-d63cb1f6448b","name":"web-1","notes":[]}');
INSERT INTO "plans" VALUES(7,4,'901348e0-a6c3-4d8f-8d0c-74193f8b2c76','planned',NULL,NULL,'{"action":"image-property set","cell":"22222222-2222-4222-8222-222222222222","changes":[{"after":"scsi","before":"virtio","what":"hw_disk_bus"},{"after":"scsi","before":"virtio","what":"request_spec hw_disk_bus"},{"after":"virtio-scsi","before":{"absent":true},"what":"hw_scsi_model"},{"after":"virtio-scsi","before":{"absent":true},"what":"request_spec hw_scsi_model"},{"after":"scsi","before":"virtio","what":"block_device_mapping 1 disk_bus"},{"after":"/dev/sda","before":"/dev/vda","what":"block_device_mapping 1 device_name"},{"after":"/dev/sda","before":"/dev/vda","what":"root_device_name"},{"after":"scsi","before":"virtio","what":"block_device_mapping 2 disk_bus"},{"after":"/dev/sdb","before":"/dev/vdb","what":"block_device_mapping 2 device_name"}],"effects":[{"after":"scsi sda","before":"virtio vda","what":"root disk"},{"after":"scsi sdb","before":"virtio vdb","what":"volume vdb"}],"guard":{"kept_disks":[]},"host":"cmp1","instance":"901348e0-a6c3-4d8f-8d0c-74193f8b2c76","name":"web-1","notes":[]}');
CREATE TABLE runs (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	action VARCHAR(255) NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	user VARCHAR(255) NOT NULL, 
	host VARCHAR(255) NOT NULL, 
	pid INTEGER NOT NULL, 
	pid_started VARCHAR(32) NOT NULL, 
	started DATETIME NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	finished DATETIME, 
	undoes INTEGER
);
INSERT INTO "runs" VALUES(1,'image-property set','applied','root','HOST',30371,'469980','2026-11-28 17:46:31.000000','2026-11-28 17:46:31.000000','2026-11-28 17:46:31.000000',NULL);
INSERT INTO "runs" VALUES(2,'undo 1','applied','root','HOST',30371,'469980','2026-11-28 17:46:31.000000','2026-11-28 17:46:32.000000','2026-11-28 17:46:32.000000',1);
INSERT INTO "runs" VALUES(3,'image-property set','applied','root','HOST',30371,'469980','2026-11-28 17:46:32.000000','2026-11-28 17:46:32.000000','2026-11-28 17:46:32.000000',NULL);
INSERT INTO "runs" VALUES(4,'image-property set','running','root','HOST',30649,'473039','2026-11-28 17:46:43.000000','2026-11-28 17:46:43.000000',NULL,NULL);
CREATE TABLE vm_device (
	vm_id VARCHAR(36) NOT NULL, 
	device_id VARCHAR(36) NOT NULL, 
	type VARCHAR(30) NOT NULL, 
	device VARCHAR(255) NOT NULL, 
	address VARCHAR(255) NOT NULL, 
	boot_order INTEGER, 
	spec_params TEXT NOT NULL, 
	is_managed BOOLEAN NOT NULL, 
	is_plugged BOOLEAN NOT NULL, 
	is_readonly BOOLEAN NOT NULL, 
	is_optional BOOLEAN NOT NULL, 
	alias VARCHAR(255) NOT NULL, 
	custom_properties TEXT NOT NULL, 
	snapshot_id VARCHAR(36), 
	logical_name VARCHAR(255), 
	host VARCHAR(255) NOT NULL, 
	label VARCHAR(255) NOT NULL, 
	seen DATETIME NOT NULL, 
	PRIMARY KEY (vm_id, device_id)
);
CREATE TABLE vm_device_history (
	id INTEGER NOT NULL, 
	vm_id VARCHAR(36) NOT NULL, 
	device_id VARCHAR(36) NOT NULL, 
	seen DATETIME NOT NULL, 
	body TEXT, 
	PRIMARY KEY (id)
);
CREATE TABLE vm_dynamic (
	vm_id VARCHAR(36) NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	host VARCHAR(255) NOT NULL, 
	seen DATETIME NOT NULL, 
	PRIMARY KEY (vm_id)
);
CREATE INDEX ix_plans_instance ON plans (instance);
CREATE INDEX ix_plans_run_state ON plans (run_id, state, id);
CREATE INDEX ix_vm_device_history ON vm_device_history (vm_id, device_id, id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',4);
COMMIT;
