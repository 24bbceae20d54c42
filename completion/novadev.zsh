#compdef novadev

_novadev_completion() {
    local -a completions
    local -a completions_with_descriptions
    local -a response
    (( ! $+commands[novadev] )) && return 1

    response=("${(@f)$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) _NOVADEV_COMPLETE=zsh_complete novadev)}")

    for type key descr in ${response}; do
        if [[ "$type" == "plain" ]]; then
            if [[ "$descr" == "_" ]]; then
                completions+=("$key")
            else
                completions_with_descriptions+=("$key":"$descr")
            fi
        elif [[ "$type" == "dir" ]]; then
            [[ $PREFIX != --*=* ]] || compset -p $(( ${#PREFIX%%=*} + 1 ))
            _path_files -/
        elif [[ "$type" == "file" ]]; then
            [[ $PREFIX != --*=* ]] || compset -p $(( ${#PREFIX%%=*} + 1 ))
            _path_files -f
        fi
    done

    if [ -n "$completions_with_descriptions" ]; then
        _describe -V unsorted completions_with_descriptions -U
    fi

    if [ -n "$completions" ]; then
        compadd -U -V unsorted -a completions
    fi
}

if [[ $funcstack[1] == _novadev ]]; then
    # autoload from fpath, call function directly
    _novadev_completion "$@"
else
    # eval/source/. command, register function for later
    compdef _novadev_completion novadev
fi
