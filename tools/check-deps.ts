/**
 * Holds the borders of tools/architecture.ts: who imports whom, which packages, no platform in the core, no import cycles.
 * Prints each breach with what to do instead; exits 1 when there is any. Also compares the table in docs/architecture.md with
 * tools/architecture.ts; `--write` puts it right.
 */
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { parseSync, Visitor } from 'oxc-parser'
import { folders, type Folder } from './architecture.ts'

const root = join(import.meta.dirname, '..')
const breaches: string[] = []
/** Value imports between files, for finding cycles. */
const graph = new Map<string, string[]>()

const INSTEAD: Readonly<Record<string, string>> = {
  'Date.now': 'runtime.clock.now()',
  'Date()': 'timestamp(runtime.clock)',
  'Math.random': 'runtime.random',
  setTimeout: 'runtime.clock.setTimeout or sleep(clock, ...)',
  setInterval: 'every(clock, ...)',
  setImmediate: 'a queued microtask',
  fetch: 'a transport that is passed in',
  process: 'an option that is passed in',
  Buffer: 'Uint8Array with TextEncoder and TextDecoder',
}

/** The most specific entry of the table for a file under src/, as [path, folder]. */
function folderOf(file: string): [string, Folder] | undefined {
  const parts = dirname(file).split('/')
  for (let length = parts.length; length > 0; length--) {
    const path = parts.slice(0, length).join('/')
    const folder = folders[path]
    if (folder) return [path, folder]
  }
  return undefined
}

const isInside = (path: string, allowed: string): boolean => allowed === '*' || path === allowed

function checkImport(file: string, path: string, folder: Folder, specifier: string, isTest: boolean): void {
  if (specifier.startsWith('.')) {
    const target = relative('src', normalize(join('src', dirname(file), specifier)))
    const owner = folderOf(target)
    if (!owner || target.startsWith('..')) {
      if (!isTest) breaches.push(`src/${file}: imports ${specifier}, which lies outside src/`)
    } else if (owner[0] !== path && !isTest && !folder.imports.some((allowed) => isInside(owner[0], allowed))) {
      breaches.push(`src/${file}: ${path} may not import ${owner[0]} (${specifier}); see tools/architecture.ts`)
    }
    return
  }
  if (isTest) return
  if (specifier.startsWith('node:')) {
    if (!folder.isAdapter) breaches.push(`src/${file}: ${path} is core and may not import ${specifier}; move it to an adapter`)
    return
  }
  const packageName = specifier.startsWith('@') ? specifier.split('/').slice(0, 2).join('/') : specifier.split('/')[0]!
  const allowed = folder.packages ?? []
  if (!allowed.includes('*') && !allowed.includes(packageName)) breaches.push(`src/${file}: ${path} may not use the package ${packageName}`)
}

/** Reports uses of the platform's globals in the core. Names that are declared in the file or are parameters are not told apart. */
function checkGlobals(file: string, text: string, program: Parameters<InstanceType<typeof Visitor>['visit']>[0]): void {
  const report = (what: string, start: number) => {
    const line = text.slice(0, start).split('\n').length
    breaches.push(`src/${file}:${line}: the core does not use ${what}; use ${INSTEAD[what]}`)
  }
  new Visitor({
    MemberExpression(node) {
      if (node.object.type !== 'Identifier' || node.property.type !== 'Identifier') return
      const name = `${node.object.name}.${node.property.name}`
      if (name === 'Date.now' || name === 'Math.random') report(name, node.start)
      else if (node.object.name === 'process' || node.object.name === 'Buffer') report(node.object.name, node.start)
    },
    NewExpression(node) {
      if (node.callee.type === 'Identifier' && node.callee.name === 'Date' && node.arguments.length === 0) report('Date()', node.start)
    },
    CallExpression(node) {
      if (node.callee.type === 'Identifier' && ['setTimeout', 'setInterval', 'setImmediate', 'fetch'].includes(node.callee.name)) {
        report(node.callee.name, node.start)
      }
    },
  }).visit(program)
}

function checkFile(file: string): void {
  const owner = folderOf(file)
  if (!owner) {
    breaches.push(`src/${file}: its folder is not in tools/architecture.ts`)
    return
  }
  const [path, folder] = owner
  const text = readFileSync(join(root, 'src', file), 'utf8')
  const { module, program } = parseSync(file, text)
  const isTest = file.endsWith('.test.ts') || file.endsWith('.test-support.ts') || file.endsWith('suite.ts')
  const values: string[] = []
  for (const entry of [
    ...module.staticImports,
    ...module.staticExports.flatMap((e) => e.entries.map((x) => ({ moduleRequest: x.moduleRequest, entries: [x] }))),
  ]) {
    if (!entry.moduleRequest) continue
    checkImport(file, path, folder, entry.moduleRequest.value, isTest)
    const isType = entry.entries.length > 0 && entry.entries.every((e) => e.isType)
    if (!isType && entry.moduleRequest.value.startsWith('.'))
      values.push(relative('src', normalize(join('src', dirname(file), entry.moduleRequest.value))))
  }
  for (const { moduleRequest } of module.dynamicImports) {
    const quoted = /^['"](.*)['"]$/.exec(text.slice(moduleRequest.start, moduleRequest.end))
    if (quoted) checkImport(file, path, folder, quoted[1]!, isTest)
  }
  graph.set(file, values)
  if (!folder.isAdapter && !isTest && file !== 'base/system.ts') checkGlobals(file, text, program)
}

function findCycles(): void {
  const done = new Set<string>()
  const stack: string[] = []
  const walk = (file: string): void => {
    const at = stack.indexOf(file)
    if (at >= 0) {
      breaches.push(`import cycle: ${[...stack.slice(at), file].join(' → ')}`)
      return
    }
    if (done.has(file)) return
    stack.push(file)
    for (const next of graph.get(file) ?? []) walk(next)
    stack.pop()
    done.add(file)
  }
  for (const file of graph.keys()) walk(file)
}

/** The table of folders as docs/architecture.md shows it, between two marks. */
function checkPrintedTable(): void {
  const path = join(root, 'docs/architecture.md')
  const text = readFileSync(path, 'utf8')
  const row = ([name, folder]: [string, Folder]) => {
    const names = folder.imports.includes('*') ? 'everything' : folder.imports.join(', ')
    return `| ${name} | ${folder.purpose} | ${folder.isAdapter ? 'adapter' : 'core'} | ${names} |`
  }
  const table = ['| folder | what it is | | imports |', '|---|---|---|---|', ...Object.entries(folders).map(row)].join('\n')
  const marked = /(?<=<!-- folders -->\n)[\s\S]*?(?=<!-- end -->)/
  if (!marked.test(text)) return void breaches.push('docs/architecture.md: the marks for the table of folders are gone')
  const next = text.replace(marked, () => `${table}\n`)
  if (next === text) return
  if (process.argv.includes('--write')) writeFileSync(path, next)
  else breaches.push('docs/architecture.md: its table differs from tools/architecture.ts; node tools/check-deps.ts --write mends it')
}

const files = globSync('**/*.ts', { cwd: join(root, 'src') }).toSorted()
for (const file of files) checkFile(file)
for (const path of Object.keys(folders)) {
  if (!existsSync(join(root, 'src', path))) breaches.push(`tools/architecture.ts names ${path}, which does not exist`)
}
findCycles()
checkPrintedTable()
for (const breach of breaches) console.log(breach)
console.log(
  breaches.length ? `${breaches.length} breaches of the architecture` : `imports of ${files.length} files follow tools/architecture.ts`,
)
process.exitCode = breaches.length ? 1 : 0
