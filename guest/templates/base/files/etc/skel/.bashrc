# Read by interactive shells; other shells stop here.
case $- in
*i*) ;;
*) return ;;
esac

HISTCONTROL=ignoreboth
HISTSIZE=1000
HISTFILESIZE=2000
shopt -s checkwinsize histappend

alias ls='ls --color=auto'
alias grep='grep --color=auto'
alias ll='ls -alF'

if [ -r ~/.bash_aliases ]; then
	. ~/.bash_aliases
fi
