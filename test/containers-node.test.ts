/** What a node does for its pods beyond running them, with real containers: images as volumes, logs, storage, limits, static pods. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { HELLO_IMAGE, helloImageArchive } from '../examples/hello/image.ts'
import { dataDirectory } from '../src/cluster/data-directory.ts'
import { loadImageArchive } from '../src/cluster/images.ts'
import { registerPlugin, startPlugin } from '../src/node/host/device-plugin.test-support.ts'
import { isAnswered } from '../src/node/host/device-plugins.ts'
import { eventually, noContainers, noKubectl, startCluster } from './harness.ts'

const CONFIGURATION = `
kind: KubeletConfiguration
apiVersion: kubelet.config.k8s.io/v1beta1
containerLogMaxSize: 20Ki
containerLogMaxFiles: 3
containerLogMonitorInterval: 250ms
fileCheckFrequency: 1s
`
const PLUGINS = '/var/lib/kubelet/device-plugins'
/** PROA_SOAK_PODS=1000 for the whole of it. */
const SOAK_PODS = Number(process.env['PROA_SOAK_PODS'] ?? 20)
const SOAK_WIDTH = 10

const sleeper = (name: string, spec: object, container: object = {}): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [{ name: 'c', image: HELLO_IMAGE, command: ['sleep', '3600'], ...container }],
      ...spec,
    },
  })

test('a node with real containers', { skip: noContainers() || noKubectl() }, async (t) => {
  const isTaken = await isAnswered(join(PLUGINS, 'kubelet.sock'))
  const cluster = await startCluster(t, ['--runtime=containerd'], (dataDir) => {
    mkdirSync(join(dataDir, 'node'), { recursive: true })
    writeFileSync(join(dataDir, 'node', 'kubelet.yaml'), CONFIGURATION)
  })
  const { kubectl, tryKubectl } = cluster
  const node = join(cluster.dataDir, 'node')
  await loadImageArchive(dataDirectory(cluster.dataDir), await helloImageArchive())
  const apply = async (...objects: readonly string[]) => {
    const result = await tryKubectl(['apply', '-f', '-'], objects.join('\n---\n'))
    assert.equal(result.code, 0, result.stderr)
  }
  const waitFor = (condition: string, what: string) => kubectl('wait', `--for=${condition}`, what, '--timeout=60s')
  const field = (what: string, path: string) => kubectl('get', what, '-o', `jsonpath={${path}}`)

  await t.test('an image as a volume: read-only, whole or in part; what is not in it, or cannot be had, is said', async () => {
    const volume = (image: object) => ({ volumes: [{ name: 'v', image: { pullPolicy: 'Never', ...image } }] })
    await apply(
      sleeper('image', volume({ reference: HELLO_IMAGE }), {
        volumeMounts: [
          { name: 'v', mountPath: '/whole' },
          { name: 'v', mountPath: '/part', subPath: 'www/cgi-bin' },
        ],
      }),
      sleeper('no-part', volume({ reference: HELLO_IMAGE }), { volumeMounts: [{ name: 'v', mountPath: '/v', subPath: 'none' }] }),
      sleeper('no-image', volume({ reference: 'proa.local/none:1' }), { volumeMounts: [{ name: 'v', mountPath: '/v' }] }),
    )
    await waitFor('condition=Ready', 'pod/image')
    assert.equal((await kubectl('exec', 'image', '--', 'sh', '-c', 'ls /part; ls /whole/bin/hello')).trim(), 'index.cgi\n/whole/bin/hello')
    assert.match((await tryKubectl(['exec', 'image', '--', 'touch', '/whole/x'])).stderr, /Read-only file system/)
    const waiting = '.status.containerStatuses[0].state.waiting'
    await eventually('both wait', async () => (await field('pod/no-part', `${waiting}.reason`)) === 'CreateContainerError')
    assert.equal(await field('pod/no-part', `${waiting}.message`), 'ImageVolumeMountFailed: image subpath "none" does not exist')
    await eventually('the image is missed', async () => (await field('pod/no-image', `${waiting}.reason`)) === 'ErrImageNeverPull')
    assert.equal(
      await field('pod/no-image', `${waiting}.message`),
      'Container image "proa.local/none:1" is not present with pull policy of Never',
    )
    await kubectl('delete', 'pod', 'image', 'no-part', 'no-image', '--wait')
    assert.ok(!readFileSync('/proc/self/mounts', 'utf8').includes(`${node}/pods`))
  })

  await t.test(
    'devices of a plugin: told by the node, given to pods, env and device node in the container',
    { skip: isTaken && 'another kubelet has the device plugins of this machine' },
    async (inner) => {
      const plugin = await startPlugin(join(PLUGINS, 'proa-test.sock'))
      inner.after(() => plugin.stop())
      const request = { version: 'v1beta1', endpoint: 'proa-test.sock', resource_name: 'example.com/foo' }
      assert.equal(await registerPlugin(join(PLUGINS, 'kubelet.sock'), request), 'yes')
      const counts = () => field('node', `.items[0].status['capacity','allocatable']['example\\.com/foo']`)
      await eventually('the node tells of them', async () => (await counts()) === '2 1')
      const wants = { resources: { limits: { 'example.com/foo': '1' } } }
      await apply(sleeper('device', {}, wants))
      await waitFor('condition=Ready', 'pod/device')
      const script = 'echo $FOO; stat -c %t:%T /dev/foo'
      assert.equal(await kubectl('exec', 'device', '--', 'sh', '-c', script), 'a\n1:3\n')
      await apply(sleeper('another', {}, wants))
      await eventually('there is no other', async () =>
        (await field('pod/another', '.status.conditions[0].message')).includes('Insufficient example.com/foo'),
      )
      plugin.tell({ devices: ['a', 'b'].map((ID) => ({ ID, health: 'Healthy' })) })
      await waitFor('condition=Ready', 'pod/another')
      assert.equal(await kubectl('exec', 'another', '--', 'sh', '-c', script), 'b\n1:3\n')
      await kubectl('delete', 'pod', 'device', 'another', '--wait')
    },
  )

  await t.test('a log that grows is rotated, and who follows it misses nothing', async () => {
    const lines = 3000
    const script = `i=0; while [ $i -lt ${lines} ]; do echo "line $i of a log that grows"; i=$((i+1)); [ $((i % 100)) = 0 ] && sleep 0.1; done; sleep 1; echo the end; sleep 1`
    await apply(sleeper('chat', { restartPolicy: 'Never' }, { command: ['sh', '-c', script] }))
    await waitFor('condition=Ready', 'pod/chat')
    const seen = (await kubectl('logs', '-f', 'chat')).trim().split('\n')
    assert.equal(seen.pop(), 'the end')
    const first = Number(/^line (\d+) /.exec(seen[0]!)![1])
    assert.deepEqual(
      seen,
      Array.from({ length: lines - first }, (_, i) => `line ${first + i} of a log that grows`),
    )
    const [pod] = readdirSync(join(node, 'logs')).filter((name) => name.startsWith('default_chat_'))
    const files = readdirSync(join(node, 'logs', pod!, 'c')).toSorted()
    assert.equal(files[0], '0.log')
    assert.ok(files.length === 3 && files.some((name) => /^0\.log\.\d{8}-\d{6}\.gz$/.test(name)), files.join())
    assert.equal((await kubectl('logs', 'chat', '--tail=1')).trim(), 'the end')
    assert.match(await kubectl('logs', 'chat', '--tail=1', '--timestamps'), /^\d{4}-\d\d-\d\dT\S+Z the end$/m)
    await kubectl('delete', 'pod', 'chat')
  })

  await t.test('storage out of the box: a claim is made on the node where its pod runs, keeps its data, and takes it along', async () => {
    const claim = {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'data' },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Mi' } } },
    }
    const user = (name: string) =>
      sleeper(
        name,
        { securityContext: { fsGroup: 2000 }, volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }] },
        { volumeMounts: [{ name: 'v', mountPath: '/data' }] },
      )
    await apply(JSON.stringify(claim), user('first'))
    await waitFor('condition=Ready', 'pod/first')
    await kubectl('exec', 'first', '--', 'sh', '-c', 'echo kept > /data/file')
    await kubectl('delete', 'pod', 'first')
    await apply(user('second'))
    await waitFor('condition=Ready', 'pod/second')
    assert.equal(await kubectl('exec', 'second', '--', 'cat', '/data/file'), 'kept\n')
    assert.equal(readdirSync(join(node, 'volumes')).length, 1)
    await kubectl('delete', 'pod', 'second')
    await kubectl('delete', 'pvc', 'data')
    await eventually('its directory is gone', () => readdirSync(join(node, 'volumes')).length === 0)
    assert.equal(await kubectl('get', 'pv', '-o', 'name'), '')
  })

  await t.test('kubectl top tells what is used', async () => {
    await apply(sleeper('busy', {}, { command: ['sh', '-c', 'while :; do :; done'] }))
    await waitFor('condition=Ready', 'pod/busy')
    const used = await eventually('busy is measured', async () => {
      const { stdout } = await tryKubectl(['top', 'pod', 'busy', '--no-headers'])
      return /^busy +(\d+)m +\d+Mi/.exec(stdout) ?? undefined
    })
    assert.ok(Number(used[1]) > 20, `${used[0]}`)
    assert.match(await kubectl('top', 'node', '--no-headers'), /^\S+ +\d+m +\d+% +\d+Mi +\d+%/)
    await kubectl('delete', 'pod', 'busy')
  })

  await t.test('a pod that fills its emptyDir beyond the limit is evicted', async () => {
    const volumes = [{ name: 'v', emptyDir: { sizeLimit: '1Mi' } }]
    const command = ['sh', '-c', 'dd if=/dev/zero of=/v/f bs=1M count=3; sleep 3600']
    await apply(sleeper('greedy', { volumes }, { command, volumeMounts: [{ name: 'v', mountPath: '/v' }] }))
    await waitFor('jsonpath={.status.reason}=Evicted', 'pod/greedy')
    assert.equal(await field('pod/greedy', '.status.message'), 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". ')
    await kubectl('delete', 'pod', 'greedy')
  })

  await t.test('a static pod runs and is shown, and goes with its file', async () => {
    const manifest = join(node, 'manifests', 'static.json')
    writeFileSync(manifest, sleeper('static', {}))
    const name = await eventually('its mirror runs', async () => {
      const found = await kubectl('get', 'pods', '--field-selector=status.phase=Running', '-o', 'name')
      return /pod\/(static-\S+)/.exec(found)?.[1]
    })
    assert.match(await kubectl('exec', name, '--', 'hostname'), new RegExp(name))
    rmSync(manifest)
    await eventually('its mirror is gone', async () => !(await kubectl('get', 'pods', '-o', 'name')).includes(name))
  })

  await t.test(`${SOAK_PODS} pods come and go and leave nothing`, { timeout: 30 * 60_000 }, async () => {
    let next = 0
    const worker = async () => {
      while (next < SOAK_PODS) {
        const name = `soak-${next++}`
        await apply(
          sleeper(name, { volumes: [{ name: 'm', emptyDir: { medium: 'Memory' } }] }, { volumeMounts: [{ name: 'm', mountPath: '/m' }] }),
        )
        await waitFor('condition=Ready', `pod/${name}`)
        await kubectl('delete', 'pod', name)
      }
    }
    await Promise.all(Array.from({ length: SOAK_WIDTH }, worker))
    const { id } = JSON.parse(readFileSync(join(cluster.dataDir, 'cluster.json'), 'utf8')) as { id: string }
    const linesOf = (program: string, ...args: readonly string[]) => execFileSync(program, args, { encoding: 'utf8' }).split('\n')
    const left = (): readonly string[] => [
      ...['pods', 'logs', 'secrets'].flatMap((name) => readdirSync(join(node, name)).map((entry) => `${name}/${entry}`)),
      ...readFileSync('/proc/self/mounts', 'utf8')
        .split('\n')
        .filter((line) => line.includes(`${node}/pods`) || line.includes(`${node}/secrets/`)),
      ...linesOf('find', '/sys/fs/cgroup', '-path', `*${id}*`, '-name', 'pod*', '-type', 'd'),
      ...linesOf('ip', '-o', 'link', 'show', 'type', 'veth').filter((line) => line.includes(id)),
    ]
    await eventually('nothing is left', () => left().filter(Boolean).length === 0).catch(() => assert.deepEqual(left().filter(Boolean), []))
  })
})
