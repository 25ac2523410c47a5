/** What the agent's process inside of a sandbox holds. */
import type { Sandbox } from "e2b";

/** Makes `$agent` its pid. */
const FIND_AGENT = `for agent in $(ls /proc); do
	if [ "$(cat /proc/$agent/comm 2>/dev/null)" = offshoot-agentd ]; then break; fi
done
`;

export async function agentDescriptors(sandbox: Sandbox): Promise<number> {
	const { stdout } = await sandbox.commands.run(`${FIND_AGENT} ls /proc/$agent/fd | wc -l`, { user: "root" });
	return Number(stdout);
}

/** Watches how much memory the agent has resident until it is asked, every tenth of a second. */
export async function watchAgentMemory(
	sandbox: Sandbox,
): Promise<() => Promise<{ before: number; peak: number; after: number }>> {
	const watch = `${FIND_AGENT}
		resident() { while read -r name kib unit; do if [ "$name" = VmRSS: ]; then echo $kib; fi; done < /proc/$agent/status; }
		before=$(resident); peak=$before; echo watching
		while [ ! -e /run/enough ]; do now=$(resident); if [ $now -gt $peak ]; then peak=$now; fi; sleep 0.1; done
		rm /run/enough; echo $before $peak $(resident)`;
	const { promise: watching, resolve } = Promise.withResolvers<void>();
	const onStdout = () => resolve();
	const command = await sandbox.commands.run(watch, { user: "root", background: true, timeoutMs: 0, onStdout });
	await watching;
	return async () => {
		await sandbox.commands.run("touch /run/enough", { user: "root" });
		const { stdout } = await command.wait();
		const [before = 0, peak = 0, after = 0] = (stdout.split("\n")[1] ?? "").split(" ").map((kib) => Number(kib) * 1024);
		return { before, peak, after };
	};
}
