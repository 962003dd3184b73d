/** The command as its user meets it: true help, clear sentences for what goes wrong, nothing left behind. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { eventually, proa, startCluster } from './harness.ts'

function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'proa-cli-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

test('wrong usage is told in one line, with where to read more', async () => {
  const rows: [string[], RegExp][] = [
    [['up', '--bogus'], /unknown option '--bogus'/],
    [['up', '--port', '99999'], /It must be a number from 1 to 65535/],
    [['up', '--runtime', 'docker'], /Allowed choices are containerd, simulated/],
    [['up', '--name', '../etc'], /lower case letters, digits and dashes/],
    [['frobnicate'], /unknown command 'frobnicate'/],
  ]
  for (const [args, message] of rows) {
    const result = await proa(...args)
    assert.equal(result.code, 2, args.join(' '))
    assert.match(result.stderr, message)
    assert.match(result.stderr, /--help/)
    assert.doesNotMatch(result.stderr, /at .*\.ts:/, 'no stack for a wrong flag')
  }
})

test('a cluster that is not there', async (t) => {
  const directory = join(scratch(t), 'none')
  for (const command of ['kubeconfig', 'status']) {
    const result = await proa(command, '--data-dir', directory)
    assert.equal(result.code, 1)
    assert.match(result.stderr, /there is no cluster "default".*proa up/)
  }
  assert.equal((await proa('down', '--data-dir', directory)).code, 0)
})

test('a taken port', async (t) => {
  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(0, '0.0.0.0', resolve))
  t.after(() => taken.close())
  const { port } = taken.address() as { port: number }
  const result = await proa('up', '--runtime', 'simulated', '--data-dir', join(scratch(t), 'c'), '--port', String(port))
  assert.equal(result.code, 1)
  assert.match(result.stderr, new RegExp(`port ${port} is taken.*--port`))
})

test('status, up again, down, and up with the same state', async (t) => {
  const cluster = await startCluster(t, ['--runtime=simulated', '--nodes=3'])
  const place = [`--name=${cluster.name}`, `--data-dir=${cluster.dataDir}`]
  const health = JSON.parse((await proa('status', '--json', ...place)).stdout)
  assert.equal(health.state, 'up')
  assert.equal(health.nodes.length, 3)
  assert.match((await proa('status', ...place)).stdout, /nodes +3 of 3 Ready/)
  assert.equal(statSync(cluster.kubeconfig).mode & 0o777, 0o600)
  assert.equal((await proa('kubeconfig', ...place)).stdout, readFileSync(cluster.kubeconfig, 'utf8'))
  assert.match((await cluster.up()).stderr, /already up/)
  assert.match((await proa('down', ...place)).stderr, /is down/)
  assert.equal(JSON.parse((await proa('status', '--json', ...place)).stdout).state, 'down')
  await cluster.up('--wait')
  assert.equal(JSON.parse((await proa('status', '--json', ...place)).stdout).nodes.length, 3)
})

test('the configuration of the scheduler is remembered until another is given', async (t) => {
  const file = join(scratch(t), 'scheduler.yaml')
  writeFileSync(file, 'apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n')
  const cluster = await startCluster(t, ['--runtime=simulated', '--nodes=0', `--scheduler-config=${file}`])
  const place = [`--name=${cluster.name}`, `--data-dir=${cluster.dataDir}`]
  await proa('down', ...place)
  writeFileSync(file, 'apiVersion: kubescheduler.config.k8s.io/v1\nkind: Nothing\n')
  const wrong = await proa('up', ...place)
  assert.equal(wrong.code, 1)
  assert.match(wrong.stderr, /scheduler\.yaml: invalid scheduler configuration/)
  assert.equal((await proa('up', '--scheduler-config=', ...place)).code, 0)
  await proa('down', ...place)
  assert.equal((await proa('up', ...place)).code, 0)
})

test('a damaged database is named, with the way out', async (t) => {
  const cluster = await startCluster(t, ['--runtime=simulated'])
  const place = [`--name=${cluster.name}`, `--data-dir=${cluster.dataDir}`]
  await proa('down', ...place)
  const database = join(cluster.dataDir, 'store.db')
  const whole = readFileSync(database)
  writeFileSync(database, 'this is not a database')
  const result = await proa('up', ...place)
  assert.equal(result.code, 1)
  assert.match(result.stderr, /store\.db/)
  assert.doesNotMatch(result.stderr, /This is a bug/)
  writeFileSync(database, whole)
  truncateSync(database, whole.length)
  await cluster.up('--wait')
})

test('without --wait the server goes on when its launcher is gone, before the nodes are Ready', async (t) => {
  const place = ['--name=early', `--data-dir=${join(scratch(t), 'c')}`]
  try {
    assert.equal((await proa('up', '--runtime=simulated', '--nodes=20', ...place)).code, 0)
    await eventually('the nodes are Ready', async () => {
      const health = JSON.parse((await proa('status', '--json', ...place)).stdout)
      assert.equal(health.state, 'up')
      return health.nodes.length === 20 && health.nodes.every(({ ready }: { readonly ready: boolean }) => ready)
    })
  } finally {
    await proa('down', '--delete', ...place)
  }
})
