import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { silentLog } from '../../base/log.ts'
import type { Device, DevicePlugin } from '../devices/device-manager.ts'
import { registerPlugin, startPlugin } from './device-plugin.test-support.ts'
import { serveDevicePlugins } from './device-plugins.ts'

test('device plugins register, tell their devices, give them, and go', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'proa-plugins-'))
  const stop = new AbortController()
  let plugin: DevicePlugin | undefined
  let heard: (() => void) | undefined
  const events: string[] = []
  const said = (what: string) => {
    events.push(what)
    heard?.()
  }
  const until = async (what: string) => {
    while (!events.includes(what)) await new Promise<void>((resolve) => (heard = resolve))
  }
  const list = (devices: readonly Device[]) => devices.map(({ id, isHealthy }) => `${id}${isHealthy ? '' : '!'}`).join()
  const serving = serveDevicePlugins(
    directory,
    {
      registered(resource, one) {
        plugin = one
        said(`registered ${resource}`)
      },
      listed: (resource, devices) => said(`${resource} ${list(devices)}`),
      lost: (resource) => said(`lost ${resource}`),
    },
    silentLog,
    stop.signal,
  )
  const socket = join(directory, 'kubelet.sock')
  while (!existsSync(socket)) await new Promise((resolve) => setTimeout(resolve, 5))
  const register = (request: object) => registerPlugin(socket, request)
  const running = await startPlugin(join(directory, 'foo.sock'))
  try {
    const request = { version: 'v1beta1', endpoint: 'foo.sock', resource_name: 'example.com/foo', options: { pre_start_required: true } }
    assert.match(
      await register({ ...request, version: 'v1' }),
      /requested API version "v1" is not supported by kubelet. Supported version is "v1beta1"/,
    )
    for (const name of ['cpu', 'kubernetes.io/foo', 'requests.example.com/foo', 'example.com/Foo!'])
      assert.equal(await register({ ...request, resource_name: name }), `the ResourceName "${name}" is invalid`)
    assert.match(await register({ ...request, endpoint: '../foo.sock' }), /endpoint/)
    assert.deepEqual(events, [])
    assert.equal(await register(request), 'yes')
    await until('example.com/foo a,b!')
    running.tell({
      devices: [
        { ID: 'a', health: 'Healthy' },
        { ID: 'b', health: 'Healthy' },
      ],
    })
    await until('example.com/foo a,b')
    assert.deepEqual(await plugin!.allocate(['a', 'cdi']), {
      env: { FOO: 'a,cdi' },
      mounts: [{ containerPath: '/lib/foo', hostPath: '/etc', readonly: true }],
      devices: [{ containerPath: '/dev/foo', hostPath: '/dev/null', permissions: 'rw' }],
      annotations: { a: 'b' },
      cdiDevices: ['example.com/foo=cdi'],
    })
    await plugin!.preStart!(['a'])
    assert.deepEqual(running.calls, ['allocate a,cdi', 'start a'])
    await assert.rejects(plugin!.allocate(['bad']), /that one is broken/)
    // A second agent finds the place taken.
    await serveDevicePlugins(directory, { registered() {}, listed() {}, lost() {} }, silentLog, stop.signal)
    running.stop()
    await until('lost example.com/foo')
    stop.abort()
    await serving
    assert.equal(existsSync(socket), false)
  } finally {
    stop.abort()
    running.stop()
    await serving
    rmSync(directory, { recursive: true })
  }
})
