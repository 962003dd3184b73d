/** Real containers as a person with kubectl meets them: logs, exec, port-forward, DNS, node ports, and nothing left afterwards. */
import assert from 'node:assert/strict'
import { readFileSync, statSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { HELLO_IMAGE, helloImageArchive } from '../examples/hello/image.ts'
import { dataDirectory } from '../src/cluster/data-directory.ts'
import { loadImageArchive } from '../src/cluster/images.ts'
import { nodeAddress } from '../src/cluster/machine.ts'
import { command, eventually, noContainers, noKubectl, proa, root, startCluster } from './harness.ts'
import { leftovers } from './leftovers.ts'

/** The body of a GET, or undefined while nobody answers. */
function fetchText(url: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const call = request(url, { agent: false, timeout: 3000 }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => (text += part))
      response.on('end', () => resolve(text))
    })
    call.on('timeout', () => call.destroy())
    call.on('error', () => resolve(undefined))
    call.end()
  })
}

test('real containers through kubectl', { skip: noContainers() || noKubectl() }, async (t) => {
  const cluster = await startCluster(t, ['--runtime=containerd'])
  const { kubectl } = cluster
  const { id } = JSON.parse(readFileSync(join(cluster.dataDir, 'cluster.json'), 'utf8')) as { id: string }
  await loadImageArchive(dataDirectory(cluster.dataDir), await helloImageArchive())
  await kubectl('apply', '-f', join(root, 'examples/hello/hello.yaml'))
  await kubectl('rollout', 'status', 'deployment/hello', '--timeout=60s')
  const pod = (await kubectl('get', 'pods', '-l', 'app=hello', '-o', 'jsonpath={.items[0].metadata.name}')).trim()

  await t.test('exec: output, exit code, input, a terminal', async () => {
    assert.equal(await kubectl('exec', pod, '--', 'sh', '-c', 'echo out'), 'out\n')
    assert.equal((await cluster.tryKubectl(['exec', pod, '--', 'sh', '-c', 'exit 7'])).code, 7)
    const echoed = await cluster.tryKubectl(['exec', '-i', pod, '--', 'cat'], 'through and back')
    assert.equal(echoed.stdout, 'through and back')
    // script(1) gives kubectl a terminal of its own; its own input is at its end, and what it types then may be echoed first.
    const { kubectlPath, env } = cluster.kubectlCommand()
    const terminal = await command('script', ['-qec', `${kubectlPath} exec -it ${pod} -- tty`, '/dev/null'], { env })
    assert.match(terminal.stdout, /\/dev\/pts\/\d+\r\n/)
  })

  await t.test('logs, followed', async () => {
    await kubectl(
      'run',
      'teller',
      `--image=${HELLO_IMAGE}`,
      '--restart=Never',
      '--command',
      '--',
      'sh',
      '-c',
      'for i in 1 2 3; do echo line $i; sleep 1; done',
    )
    await eventually('the pod has begun', async () => (await cluster.tryKubectl(['logs', 'teller'])).stdout.includes('line 1'))
    const followed = await kubectl('logs', '-f', 'teller')
    assert.equal(followed, 'line 1\nline 2\nline 3\n')
    assert.equal(await kubectl('logs', '--tail=1', 'teller'), 'line 3\n')
    await kubectl('wait', 'pod/teller', '--for=jsonpath={.status.phase}=Succeeded', '--timeout=30s')
  })

  await t.test('port-forward', async () => {
    const forward = cluster.spawnKubectl('port-forward', `pod/${pod}`, ':8080')
    let told = ''
    forward.stdout.on('data', (data: Buffer) => (told += data.toString()))
    const port = await eventually('it listens', () => /127\.0\.0\.1:(\d+) ->/.exec(told)?.[1])
    assert.match((await fetchText(`http://127.0.0.1:${port}/`)) ?? '', new RegExp(`from pod ${pod}`))
    forward.kill('SIGINT')
  })

  await t.test('DNS, the API from within, and the greeting that a ConfigMap changes', async () => {
    const found = await kubectl('exec', pod, '--', 'nslookup', 'hello.default.svc.cluster.local')
    assert.match(found, /Address: 10\.96\.\d+\.\d+/)
    assert.match(await kubectl('exec', pod, '--', 'wget', '-q', '-O', '-', 'http://hello'), /^Hello from pod hello-/)
    const reached = await cluster.tryKubectl([
      'exec',
      pod,
      '--',
      'sh',
      '-c',
      'nc -w 3 kubernetes.default.svc 443 </dev/null && echo reached',
    ])
    assert.match(reached.stdout, /reached/)
    await kubectl('patch', 'configmap', 'hello', '--type=merge', '-p', '{"data":{"greeting":"Moin"}}')
    await eventually('pods see the new greeting', async () =>
      (await kubectl('exec', pod, '--', 'wget', '-q', '-O', '-', 'http://hello')).startsWith('Moin'),
    )
  })

  await t.test('tokens and Secrets are for root alone on the machine', () => {
    assert.equal(statSync(join(cluster.dataDir, 'node/secrets')).mode & 0o777, 0o700)
  })

  await t.test('a node port', async () => {
    await kubectl('patch', 'service', 'hello', '-p', '{"spec":{"type":"NodePort"}}')
    const port = (await kubectl('get', 'service', 'hello', '-o', 'jsonpath={.spec.ports[0].nodePort}')).trim()
    const answer = await eventually('the node answers', () => fetchText(`http://${nodeAddress()}:${port}/`))
    assert.match(answer, /from pod hello-/)
  })

  await t.test('a container that crashes is restarted with back-off', async () => {
    await kubectl('run', 'crasher', `--image=${HELLO_IMAGE}`, '--command', '--', 'sh', '-c', 'exit 3')
    await eventually('it backs off', async () => /CrashLoopBackOff|Error/.test(await kubectl('get', 'pod', 'crasher')))
    const state = JSON.parse(await kubectl('get', 'pod', 'crasher', '-o', 'jsonpath={.status.containerStatuses[0]}'))
    assert.equal((state.lastState.terminated ?? state.state.terminated).exitCode, 3)
  })

  await t.test('down leaves nothing behind', async () => {
    await proa('down', `--name=${cluster.name}`, `--data-dir=${cluster.dataDir}`)
    assert.deepEqual(leftovers(id, cluster.dataDir), [])
  })
})
