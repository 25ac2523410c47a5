import { Sandbox } from '@e2b/code-interpreter'
const sandbox = await Sandbox.create()
await sandbox.runCode('x = 41')
const snapshot = await sandbox.createSnapshot()
const child = await Sandbox.create(snapshot.snapshotId)
console.log((await child.runCode('x + 1')).text)        // 42
console.log((await sandbox.runCode('x')).text)          // 41: the source is still alive
