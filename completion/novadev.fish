function _novadev_completion;
    set -l response (env _NOVADEV_COMPLETE=fish_complete COMP_WORDS=(commandline -cp) COMP_CWORD=(commandline -t) novadev);

    for completion in $response;
        set -l metadata (string split --max 1 "," $completion);

        if test $metadata[1] = "dir";
            __fish_complete_directories $metadata[2] | string replace --regex '^' -- (string match --regex -- '^--[^=]*=' (commandline -ct); or echo '');
        else if test $metadata[1] = "file";
            __fish_complete_path $metadata[2] | string replace --regex '^' -- (string match --regex -- '^--[^=]*=' (commandline -ct); or echo '');
        else if test $metadata[1] = "plain";
            echo $metadata[2];
        end;
    end;
end;

complete --no-files --command novadev --arguments "(_novadev_completion)";
