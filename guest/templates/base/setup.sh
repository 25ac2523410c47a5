#!/bin/sh
# Runs once inside the new root filesystem, after the Debian packages and this template's files are in place.
set -eu

useradd --create-home --key HOME_MODE=0755 --uid 1000 --user-group --groups sudo --shell /bin/bash user
cp /etc/skel/.profile /etc/skel/.bashrc /root/
chmod 0440 /etc/sudoers.d/user
echo 'debconf debconf/frontend select Noninteractive' | debconf-set-selections

# pip from the wheel that Debian ships for venv: in /usr/local, so that `pip install --upgrade pip` works as well.
wheel=$(echo /usr/share/python-wheels/pip-*.whl)
python3 "$wheel/pip" install --quiet --no-index --no-compile "$wheel"
python3 -m compileall -q -j0 /usr/local/lib/python3.13/dist-packages

# `user` installs packages to where every Python and Node of the sandbox finds them, root's interpreter kernel included.
chown -R user:user /usr/local

# Manuals are left out, but packages such as Java's fail to install where there is no place for them.
mkdir -p /usr/share/man/man1

# One file to open for every program that asks for its locale, instead of thirteen: 3 ms less for each command.
localedef --add-to-archive /usr/lib/locale/C.utf8

mkdir -p /run/offshoot /etc/offshoot/on-restore.d
rm -f /etc/skel/.bash_logout /home/user/.bash_logout /etc/ssh/ssh_host_* /var/lib/systemd/random-seed
