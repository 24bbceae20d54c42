_novadev_completion() {
    local IFS=$'\n' response completion type value
    response=$(env COMP_WORDS="${COMP_LINE:0:COMP_POINT}" COMP_BREAKS="$COMP_WORDBREAKS" _NOVADEV_COMPLETE=bash_complete "$1" 2>/dev/null)
    for completion in $response; do
        type=${completion%%,*} value=${completion#*,}
        if [[ $type == dir ]]; then
            compopt -o dirnames
        elif [[ $type == file ]]; then
            compopt -o default
        elif [[ $type == plain ]]; then
            COMPREPLY+=("$value")
            [[ $value != *= ]] || compopt -o nospace
        fi
    done
}

complete -o nosort -F _novadev_completion novadev
