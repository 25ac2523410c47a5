#!/bin/sh
# Runs once inside the new root filesystem, after the Python packages and this template's files are in place.
set -eu

# matplotlib lists the fonts once here instead of at the first plot of every user.
HOME=/root python3 -c 'import matplotlib.font_manager'
cp -r /root/.config /root/.cache /home/user/

chown -R user:user /usr/local /home/user
