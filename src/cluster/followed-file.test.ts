import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createLog } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import { fakeClock } from '../server/server.test-support.ts'
import { nonWebhookTypes, readAuthorizationConfiguration } from '../server/authorization/configuration.ts'
import { follow, followed } from './followed-file.ts'
import { createLifecycle } from './lifecycle.ts'

const configuration = (...types: readonly string[]): string =>
  JSON.stringify({
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'AuthorizationConfiguration',
    authorizers: types.map((type) => ({ type, name: type.toLowerCase() })),
  })

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('a file that becomes unusable changes nothing, and one that is well again counts', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'proa-followed-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'authorization.json')
  writeFileSync(path, configuration('RBAC'))
  const clock = fakeClock()
  const told: string[] = []
  const log = createLog((_level, message, fields) => void told.push(`${message} ${String(fields['error'] ?? '')}`))
  const lifecycle = createLifecycle()
  const file = followed('authorization configuration', path, readAuthorizationConfiguration, (text, first) =>
    readAuthorizationConfiguration(text, nonWebhookTypes(first)),
  )!
  let current = nonWebhookTypes(file.value)
  follow({ clock, random: seededRandom(1), log }, lifecycle, file, (next) => (current = nonWebhookTypes(next)))
  const steps: readonly (readonly [text: string, types: readonly string[], fault: RegExp | undefined])[] = [
    ['kind: [', ['RBAC'], /the one before it stays error converting YAML to JSON/],
    [configuration('Node'), ['RBAC'], /missing required types: \[RBAC\]/],
    [configuration('RBAC', 'AlwaysDeny'), ['RBAC', 'AlwaysDeny'], undefined],
    ['', ['RBAC', 'AlwaysDeny'], /the one before it stays/],
  ]
  for (const [text, types, fault] of steps) {
    await settled()
    told.length = 0
    writeFileSync(path, text)
    clock.advance(10_000)
    await settled()
    assert.deepEqual(current, types)
    assert.equal(told.length, 1)
    if (fault) assert.match(told[0]!, fault)
  }
  await lifecycle.stop()
})
