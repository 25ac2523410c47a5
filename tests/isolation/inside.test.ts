import { networkInterfaces } from "node:os";
import { expect, test } from "vitest";
import { newSandbox } from "../support/sandboxes.ts";

/** What a hostile root inside a sandbox tries. */
const AS_ROOT = { user: "root" } as const;

async function reachable(sandbox: Awaited<ReturnType<typeof newSandbox>>, address: string, port: number): Promise<boolean> {
	const probe = `timeout 2 bash -c 'exec 3<>/dev/tcp/${address}/${port}' 2>/dev/null && echo open || echo closed`;
	return (await sandbox.commands.run(probe, AS_ROOT)).stdout.trim() === "open";
}

test("root in a sandbox reaches neither the host nor its neighbours nor private and metadata addresses", async () => {
	const [sandbox, neighbour] = await Promise.all([newSandbox(), newSandbox()]);
	await neighbour.commands.run("python3 -m http.server 8000 --bind 0.0.0.0", { background: true, timeoutMs: 0 });
	const hostAddresses = Object.values(networkInterfaces())
		.flatMap((list) => list ?? [])
		.filter((item) => item.family === "IPv4" && !item.internal)
		.map((item) => item.address);
	const targets: [string, number][] = [
		["169.254.0.22", 22],
		["169.254.169.254", 80],
		["10.0.0.1", 80],
		["172.16.0.1", 80],
		["192.168.0.1", 80],
		["100.64.0.1", 80],
		...hostAddresses.flatMap((address): [string, number][] => [
			[address, 22],
			[address, 49983],
			[address, 49982],
		]),
	];
	const open = [];
	for (const [address, port] of targets) if (await reachable(sandbox, address, port)) open.push(`${address}:${port}`);
	expect(open).toEqual([]);
});

test("no loopback trick lets root speak to the control port as the host", async () => {
	const sandbox = await newSandbox();
	const script = `
ip addr add 169.254.0.22/32 dev lo 2>/dev/null
for target in 127.0.0.1 169.254.0.21 169.254.0.22; do
  for path in /init //init /%69nit /INIT /init/ '/init?x=1'; do
    curl -s -m 2 -o /dev/null -w '%{http_code} ' --interface 169.254.0.22 -X POST "http://$target:49982$path" -H 'content-type: application/json' -d '{"accessToken":"stolen","sandboxId":"x"}'
    curl -s -m 2 -o /dev/null -w '%{http_code} ' --http2-prior-knowledge -X POST "http://$target:49982$path" -d '{}'
    curl -s -m 2 -o /dev/null -w '%{http_code} ' -X POST "http://$target:49983$path" -d '{"accessToken":"stolen"}'
  done
done
true`;
	const { stdout } = await sandbox.commands.run(script, { ...AS_ROOT, timeoutMs: 120_000 });
	const codes = stdout.trim().split(/\s+/);
	expect(codes.length).toBeGreaterThan(30);
	expect(codes.filter((code) => code.startsWith("2"))).toEqual([]);
	expect((await sandbox.commands.run("echo still mine")).stdout).toBe("still mine\n");
});

test("the first control key is in no process's environment", async () => {
	const sandbox = await newSandbox();
	const { stdout } = await sandbox.commands.run("env; sudo env", {});
	expect(stdout).not.toContain("OFFSHOOT_CONTROL_KEY");
});
