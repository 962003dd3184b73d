import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tellLauncher, type LauncherChannel } from './launcher-channel.ts'

const report = { type: 'step', text: 'starting' } as const

/** A channel that says it is connected and fails with this code. */
const failing = (code: string): LauncherChannel => ({
  connected: true,
  send(_message, _handle, _options, callback) {
    callback(Object.assign(new Error(code), { code }))
    return false
  },
})

test('a launcher that is gone takes nobody with it, also before the channel knows', () => {
  for (const code of ['EPIPE', 'ECONNRESET', 'ERR_IPC_CHANNEL_CLOSED']) tellLauncher(failing(code), report)
  tellLauncher({ connected: false, send: () => assert.fail('nobody listens') }, report)
})

test('another failure of the channel is not hidden', () => {
  assert.throws(() => tellLauncher(failing('ENOBUFS'), report), /ENOBUFS/)
})
