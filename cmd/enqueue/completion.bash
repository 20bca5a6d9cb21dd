# Completion of enqueue for bash. What stands on the line is handed to the program as it is, and never run.
_enqueue() {
	local current="${COMP_WORDS[COMP_CWORD]}" line
	local -a request=("${COMP_WORDS[@]:0:COMP_CWORD}")
	[[ $current == -* ]] && request+=("$current")
	COMPREPLY=()
	while IFS= read -r line; do
		line=${line%%:[!0-9]*} # name:what it is; but 16:9 is a name
		[[ -n $line && $line == "$current"* ]] && COMPREPLY+=("$line")
	done < <("${request[@]}" --generate-shell-completion 2>/dev/null)
}
complete -o bashdefault -o default -F _enqueue enqueue
