import assert from 'node:assert/strict'
import { test } from 'node:test'
import { containerdConfig, registryHosts } from './containerd-config.ts'
import { mountPoints } from './processes.ts'
import { pauseProgram } from './pause-program.ts'

const paths = { root: '/d/root', state: '/run/s', socket: '/run/s/c.sock', cniConfig: '/d/cni', registries: '/d/registries' }
const settings = {
  cniBinDirectories: ['/usr/lib/cni', '/opt/cni/bin'],
  sandboxImage: 'p:1',
  streamAddress: '127.0.0.1',
  canLowerOomScore: false,
}

test('the configuration keeps everything in the directories that are given', () => {
  const text = containerdConfig(paths, settings)
  for (const [name, value] of [
    ['root', '/d/root'],
    ['state', '/run/s'],
    ['address', '/run/s/c.sock'],
    ['conf_dir', '/d/cni'],
    ['bin_dir', '/usr/lib/cni'],
    ['config_path', '/d/registries'],
    ['sandbox_image', 'p:1'],
  ] as const) {
    assert.ok(text.includes(`${name} = "${value}"\n`), name)
  }
  assert.doesNotMatch(text, /\/(var\/lib|run)\/containerd|\/opt\/containerd/)
})

test('scores of the kernel out-of-memory killer are only lowered where that is allowed', () => {
  assert.match(containerdConfig(paths, settings), /restrict_oom_score_adj = true/)
  assert.match(containerdConfig(paths, { ...settings, canLowerOomScore: true }), /restrict_oom_score_adj = false/)
})

test('a registry is asked at its endpoint alone', () => {
  assert.equal(
    registryHosts('http://127.0.0.1:5000'),
    'server = "http://127.0.0.1:5000"\n\n[host."http://127.0.0.1:5000"]\n  capabilities = ["pull", "resolve"]\n',
  )
})

test('mount points are read with their odd characters', () => {
  const text = '22 1 0:5 / / rw - overlay o rw\n31 22 0:27 / /run/a\\040b rw,nosuid - tmpfs tmpfs rw\n'
  assert.deepEqual(mountPoints(text), ['/', '/run/a b'])
})

test('the pause program is a small ELF executable of its architecture that starts at its code', () => {
  for (const [architecture, machine] of [
    ['amd64', 62],
    ['arm64', 183],
  ] as const) {
    const program = pauseProgram(architecture)
    assert.equal(program.toString('latin1', 0, 4), '\x7fELF')
    assert.equal(program.readUInt16LE(18), machine)
    assert.equal(program.readBigUInt64LE(24), 0x400078n)
    assert.equal(program.readBigUInt64LE(64 + 32), BigInt(program.length))
    assert.ok(program.length < 256, `${program.length} bytes`)
    // The last eight bytes are the mask of SIGINT, SIGTERM and SIGCHLD.
    assert.equal(program.readBigUInt64LE(program.length - 8), 0x14002n)
  }
})
