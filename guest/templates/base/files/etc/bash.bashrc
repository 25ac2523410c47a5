# Read by every interactive bash, before the user's own ~/.bashrc.

[ -n "${PS1-}" ] || return 0

shopt -s checkwinsize
PS1='\u@\h:\w\$ '
