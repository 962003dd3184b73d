import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { recordOf } from './cluster-record.ts'
import { dataDirectory, ensureDataDirectory, type DataDirectory } from './data-directory.ts'
import type { ServerSettings } from './launch.ts'

function newDirectory(t: TestContext): DataDirectory {
  const root = mkdtempSync(join(tmpdir(), 'proa-record-'))
  t.after(() => rmSync(root, { recursive: true }))
  const directory = dataDirectory(root)
  ensureDataDirectory(directory)
  return directory
}

/** Ranges that no cluster of this machine takes by itself. */
const server: ServerSettings = { hasNode: false, egress: 'auto', clusterCidr: '198.18.0.0/16', serviceCidr: '198.19.0.0/20' }

async function record(directory: DataDirectory, settings?: ServerSettings) {
  const options = { name: 'x', dataRoot: directory.root, logLevel: 'error', runtime: settings ? undefined : 'simulated' } as const
  const { runtime, ...rest } = options
  const made = await recordOf(directory, { ...rest, ...(runtime ? { runtime } : {}), ...(settings ? { server: settings } : {}) })
  await new Promise((resolve) => made.port.socket.close(resolve))
  return made.record
}

test('ranges and addresses of a server that others join', async (t) => {
  const table: readonly (readonly [Partial<ServerSettings>, RegExp])[] = [
    [{ clusterCidr: '10.0.0.0/8', serviceCidr: '10.96.0.0/16' }, /overlap/],
    [{ clusterCidr: '198.19.0.0/24' }, /overlap/],
    [{ clusterCidr: '10.244.0.0/28' }, /--cluster-cidr must be an IPv4 network/],
    [{ clusterCidr: '10.244.0.1/16' }, /--cluster-cidr must be an IPv4 network/],
    [{ serviceCidr: 'fd00::/108' }, /--service-cidr must be an IPv4 network/],
    [{ serviceCidr: '10.96.0.0/2' }, /--service-cidr must be an IPv4 network/],
    [{ clusterCidr: '127.0.0.0/16' }, /has the address 127\.0\.0\.1/],
    [{ advertiseAddress: 'example.org' }, /--advertise-address must be an IPv4 address/],
  ]
  for (const [settings, expected] of table) await assert.rejects(record(newDirectory(t), { ...server, ...settings }), expected)
  const made = await record(newDirectory(t), server)
  assert.deepEqual(
    [made.runtime, made.nodes, made.podCidr, made.serviceCidr, made.dnsAddress, made.join],
    ['simulated', 0, '198.18.0.0/16', '198.19.0.0/20', '198.19.0.10', {}],
  )
})

test('what was decided stays, or is refused', async (t) => {
  const directory = newDirectory(t)
  const made = await record(directory, { ...server, advertiseAddress: '192.0.2.1' })
  assert.deepEqual(await record(directory, server), made)
  assert.deepEqual((await record(directory, { ...server, names: ['x.example'] })).join, {
    advertiseAddress: '192.0.2.1',
    names: ['x.example'],
  })
  await assert.rejects(record(directory, { ...server, clusterCidr: '10.32.0.0/16' }), /made with --cluster-cidr 198\.18\.0\.0\/16/)
  await assert.rejects(record(directory, { ...server, hasNode: true }), /made with --no-node true/)
  const alone = newDirectory(t)
  await record(alone)
  await assert.rejects(record(alone, server), /made by \.\/proa up, for this machine alone/)
})
