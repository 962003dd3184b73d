import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { connectionOf, createKubeconfig, loadConnection, parseKubeconfig, writeKubeconfig } from './kubeconfig.ts'

test('what is written is read back, and only its owner can read it', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'kubeconfig-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'config')
  writeKubeconfig(
    path,
    createKubeconfig({ name: 'proa', server: 'https://127.0.0.1:6443', ca: 'CA', cert: 'CERT', key: 'KEY', namespace: 'team' }),
  )
  assert.equal(statSync(path).mode & 0o777, 0o600)
  const { options, namespace } = loadConnection(path)
  assert.deepEqual(
    [options.server, options.ca, options.cert, options.key, namespace],
    ['https://127.0.0.1:6443', 'CA', 'CERT', 'KEY', 'team'],
  )
})

test('files named in a kubeconfig are found beside it, and tokens are read anew each time', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'kubeconfig-'))
  t.after(() => rmSync(directory, { recursive: true }))
  writeFileSync(join(directory, 'ca.pem'), 'CA FILE')
  writeFileSync(join(directory, 'token'), 'first\n')
  writeFileSync(
    join(directory, 'config'),
    `kind: Config
clusters: [{ name: c, cluster: { server: 'https://a', certificate-authority: ca.pem } }]
users: [{ name: u, user: { tokenFile: token } }]
contexts: [{ name: x, context: { cluster: c, user: u } }]
current-context: x
`,
  )
  const { options } = loadConnection(join(directory, 'config'))
  assert.equal(options.ca, 'CA FILE')
  const read = options.token as () => string
  assert.equal(read(), 'first')
  writeFileSync(join(directory, 'token'), 'second')
  assert.equal(read(), 'second')
})

test('what is missing is named', () => {
  assert.throws(() => connectionOf(parseKubeconfig('kind: Config\ncurrent-context: gone')), /the kubeconfig has no context "gone"/)
  assert.throws(() => parseKubeconfig('kind: Pod'), /not a kubeconfig/)
})
