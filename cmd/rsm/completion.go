package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

// The scripts ask rsm itself what may come next, so they never grow old.
const bashCompletion = `# bash completion for rsm: source <(rsm completion bash)
_rsm() {
  local cur=${COMP_WORDS[COMP_CWORD]} words
  words=$("${COMP_WORDS[@]:0:COMP_CWORD}" $([[ $cur == -* ]] && echo "$cur") --generate-bash-completion 2>/dev/null)
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  [[ ${#COMPREPLY[@]} -gt 0 || $cur == -* ]] || COMPREPLY=($(compgen -f -- "$cur"))
}
complete -o filenames -F _rsm rsm
`

const zshCompletion = `#compdef rsm
# zsh completion for rsm: source <(rsm completion zsh)
_rsm() {
  local -a opts
  local cur=${words[-1]}
  if [[ $cur == -* ]]; then
    opts=("${(@f)$(${words[@]:0:#words[@]-1} ${cur} --generate-bash-completion 2>/dev/null)}")
  else
    opts=("${(@f)$(${words[@]:0:#words[@]-1} --generate-bash-completion 2>/dev/null)}")
  fi
  [[ -n ${opts[1]} ]] && _describe 'values' opts || _files
}
compdef _rsm rsm
`

func completionCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:         "completion",
		Usage:        "print a completion script for bash, zsh or fish",
		ArgsUsage:    "bash|zsh|fish",
		BashComplete: func(*cli.Context) { fmt.Fprint(con.out, "bash\nzsh\nfish\n") },
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usage("completion needs the shell: bash, zsh or fish")
			}
			script := map[string]string{"bash": bashCompletion, "zsh": zshCompletion}[c.Args().First()]
			if c.Args().First() == "fish" {
				fish, err := c.App.ToFishCompletion()
				if err != nil {
					return fmt.Errorf("write fish completion: %w", err)
				}
				script = fish
			}
			if script == "" {
				return usage("unknown shell %q: bash, zsh or fish", c.Args().First())
			}
			_, err := fmt.Fprint(con.out, script)
			return err
		},
	}
}
