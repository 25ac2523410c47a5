/** What the built-in templates promise to programs in a sandbox: each a shell command and what it must print. */
export interface Promised {
	readonly what: string;
	readonly command: string;
	readonly prints: RegExp;
}

export const BASE: readonly Promised[] = [
	{ what: "commands run as user, in its home", command: "id -un; id -u; pwd", prints: /^user\n1000\n\/home\/user\n$/ },
	{ what: "user becomes root without a password", command: "sudo -n id -un", prints: /^root\n$/ },
	{ what: "sudo keeps no variable of the caller", command: "export FOO=bar; sudo sh -c 'echo [$FOO]'", prints: /^\[\]\n$/ },
	{
		what: "PATH has the user's own and the system's directories",
		command: "echo $PATH",
		prints: /^\/home\/user\/\.local\/bin:.*\/usr\/local\/sbin:\/usr\/local\/bin:\/usr\/sbin:\/usr\/bin:\/sbin:\/bin\n$/,
	},
	{ what: "files are readable for everyone by default", command: "umask", prints: /^0022\n$/ },
	{ what: "the locale of every command is one file", command: "localedef --list-archive", prints: /^C\.utf8\n$/ },
	{ what: "text is UTF-8", command: "echo $LANG; printf '\\303\\244' | wc -m", prints: /^C\.UTF-8\n1\n$/ },
	{
		what: "a user's additions to the login files count",
		command:
			"echo 'export MINE=1' >> ~/.profile; echo 'export OURS=2' | sudo tee /etc/profile.d/ours.sh >/dev/null; bash -l -c 'echo $MINE$OURS'",
		prints: /^12\n$/,
	},
	{
		what: "the tools that ready commands, installers and agents use are there",
		command:
			"for tool in bash curl git jq ss pgrep ps ping less sudo unzip xz ssh python3 pip gcc node npm npx; do command -v $tool >/dev/null || echo no $tool; done",
		prints: /^$/,
	},
	{ what: "Node is current", command: "node -p 'Number(process.versions.node.split(`.`)[0]) >= 24'", prints: /^true\n$/ },
	{
		what: "npm runs, and its global directory is the user's to write",
		command: "npm --version && test -w $(npm root -g) && echo ok",
		prints: /ok\n$/,
	},
	{
		what: "pip does not refuse, and what user installs is root's too",
		command: `mkdir -p /tmp/p && cd /tmp/p && echo 'print("mine")' > offshoot_mine.py &&
			printf '[project]\\nname="offshoot-mine"\\nversion="1"\\n[tool.setuptools]\\npy-modules=["offshoot_mine"]\\n' > pyproject.toml &&
			pip install --quiet --no-index --find-links /usr/share/python-wheels --no-deps . && cd / && sudo python3 -c 'import offshoot_mine'`,
		prints: /^mine\n$/,
	},
	{
		what: "C compiles",
		command: "cd /tmp && echo 'int main(){return 7;}' > seven.c && gcc seven.c -o seven; ./seven; echo $?",
		prints: /^7\n$/,
	},
	{
		what: "git works",
		command:
			"cd $(mktemp -d) && git init -q && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m first && git log --format=%s",
		prints: /^first\n$/,
	},
	{
		what: "ss finds a listener by its port",
		command:
			'python3 -m http.server 18123 >/dev/null 2>&1 & for i in $(seq 50); do [ -n "$(ss -Htuln sport = :18123 2>/dev/null)" ] && break; sleep 0.1; done; ss -Htuln sport = :18123; kill %1',
		prints: /LISTEN.*:18123/,
	},
	{
		what: "packages come from Debian, whatever mirror or proxy the building machine has",
		command: "grep -rhE 'URIs|^deb|[Pp]roxy' /etc/apt",
		prints: /^URIs: http:\/\/deb\.debian\.org\/debian\nURIs: http:\/\/deb\.debian\.org\/debian-security\n$/,
	},
];

export const CODE_INTERPRETER: readonly Promised[] = [
	{
		what: "the usual libraries import",
		command: "python3 -c 'import IPython, ipykernel, matplotlib, numpy, orjson, pandas, PIL, requests; print(\"ok\")'",
		prints: /^ok\n$/,
	},
	{
		what: "a plot with Chinese, Japanese and Korean text draws without a warning or a word of fonts, for user and root",
		command: `echo 'import matplotlib; matplotlib.use("agg"); import matplotlib.pyplot as p; p.title("\\u6c34 \\u30ab\\u306a \\ud55c", weight="bold"); p.savefig("/tmp/x.png")' >/tmp/plot.py &&
			python3 -W error /tmp/plot.py 2>&1 && sudo -H python3 -W error /tmp/plot.py 2>&1 && file -b /tmp/x.png`,
		prints: /^PNG image data/,
	},
	{
		what: "R draws, and user installs packages to where its kernel finds them",
		command:
			"cd /tmp && Rscript -e 'png(\"r.png\"); plot(1)' >/dev/null && file r.png && test -w /usr/local/lib/R/site-library && echo ok",
		prints: /PNG image data.*\nok\n$/,
	},
	{
		what: "Java compiles and runs",
		command:
			"cd /tmp && echo 'class A { public static void main(String[] a) { System.out.println(7); } }' > A.java && javac A.java && java A",
		prints: /^7\n$/,
	},
];
