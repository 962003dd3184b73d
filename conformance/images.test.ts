import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync, chmodSync, mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileOf, parseClosure } from './debian-packages.ts'
import { commandNames, file, filesBelow, folder, link } from './image-files.ts'
import { layerNames, renderImageTable, suiteImages } from './image-table.ts'

test('the table of images in docs/conformance.md is the one of the images that are made', () => {
  const docs = readFileSync(join(import.meta.dirname, '../docs/conformance.md'), 'utf8')
  assert.ok(docs.includes(renderImageTable()), `docs/conformance.md lacks this table:\n${renderImageTable()}`)
})

test('images have full names, each once, and every layer is used', () => {
  const names = suiteImages.map(({ name }) => name)
  assert.equal(new Set(names).size, names.length)
  for (const name of names) assert.match(name, /^registry\.k8s\.io\/[a-z0-9/-]+:[\w.-]+$/)
  assert.deepEqual(new Set(suiteImages.flatMap(({ layers }) => layers)), new Set(layerNames))
})

test('images of the same layers differ in their configuration, so that their IDs do', () => {
  const contents = suiteImages.map(({ layers, config }) => JSON.stringify([layers, config]))
  assert.equal(new Set(contents).size, contents.length)
})

const simulated = `Reading package lists...
Inst gcc-12-base (12.2.0-14+deb12u1 Debian:12.15/oldstable [amd64])
Inst libc6 (2.36-9+deb12u14 Debian:12.15/oldstable [amd64]) []
Inst nginx-common (1.22.1-9 Debian:12.15/oldstable, Debian-Security:12/oldstable-security [all])
Inst zlib1g:amd64 (1:1.2.13.dfsg-1 Debian:12.15/oldstable [amd64])
Conf libc6 (2.36-9+deb12u14 Debian:12.15/oldstable [amd64])
`

test('a closure is read from what apt would install, without what only scripts need', () => {
  assert.deepEqual(parseClosure(simulated).map(fileOf), [
    'libc6_2.36-9+deb12u14_amd64.deb',
    'nginx-common_1.22.1-9_all.deb',
    'zlib1g_1%3a1.2.13.dfsg-1_amd64.deb',
  ])
  assert.deepEqual(parseClosure('E: Unable to locate package nginx\n'), [])
})

test('a tree on disk becomes files of a layer with their modes, without what is left out', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'proa-image-files-'))
  t.after(() => rmSync(directory, { recursive: true }))
  mkdirSync(join(directory, 'usr/share/doc/x'), { recursive: true })
  mkdirSync(join(directory, 'usr/bin'))
  writeFileSync(join(directory, 'usr/bin/tool'), '#!')
  chmodSync(join(directory, 'usr/bin/tool'), 0o4755)
  symlinkSync('tool', join(directory, 'usr/bin/alias'))
  for (const path of ['usr', 'usr/bin', 'usr/share']) chmodSync(join(directory, path), 0o755)
  assert.deepEqual(
    filesBelow(directory, (path) => path === 'usr/share/doc'),
    [folder('usr'), folder('usr/bin'), link('usr/bin/alias', 'tool'), file('usr/bin/tool', '#!', 0o4755), folder('usr/share')].map((one) =>
      one.type === 'directory' ? { path: one.path, type: one.type, mode: one.mode, uid: 0, gid: 0 } : one,
    ),
  )
})

test('commands are what PATH would find, not folders and not files deeper in the tree', () => {
  const files = [file('bin/a', ''), link('usr/local/bin/b', 'a'), file('usr/sbin/c', ''), folder('bin/d'), file('usr/lib/bin/e', '')]
  assert.deepEqual([...commandNames(files)], ['a', 'b', 'c'])
})
