/**
 * The upstream programs that judge proa and are measured beside it, built once by the ordinary Go client from what the modules in
 * this folder pin, into a cache outside the tree. A program's directory is named after everything that goes into its build, so what
 * is found there is what would be built; it appears under its name only when it is complete.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { UserError } from '../src/cluster/user-error.ts'

export const RELEASE = 'v1.36.3'
const AGNHOST_RELEASE = '2.63.0'

/** Everything that conformance and benchmarks keep between runs. */
export const cacheRoot = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'proa', 'conformance')

interface Recipe {
  /** The folder beside this file whose go.mod pins it. Default: kubernetes. */
  readonly pinnedBy?: 'etcd' | 'kwok' | 'operator'
  /** A package's path ('.': the folder's own), or a file of a module when the package is not one of its own. */
  readonly source: string | { readonly module: string; readonly file: string }
  readonly isTest?: true
  readonly stamps?: Readonly<Record<string, string>>
}

/** The suite and the API server refuse to run without a version, and kubectl's answers hold it. */
const releaseStamps = Object.fromEntries(
  ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'].flatMap((at) => [
    [`${at}.gitVersion`, RELEASE],
    [`${at}.gitMajor`, RELEASE.slice(1).split('.')[0]!],
    [`${at}.gitMinor`, RELEASE.split('.')[1]!],
    [`${at}.gitTreeState`, 'clean'],
    [`${at}.gitCommit`, '0'.repeat(40)],
    [`${at}.buildDate`, '2026-01-01T00:00:00Z'],
  ]),
)

const recipes = {
  ginkgo: { source: 'github.com/onsi/ginkgo/v2/ginkgo' },
  'e2e.test': { source: 'k8s.io/kubernetes/test/e2e', isTest: true, stamps: releaseStamps },
  kubectl: { source: 'k8s.io/kubernetes/cmd/kubectl', stamps: releaseStamps },
  'kube-apiserver': { source: 'k8s.io/kubernetes/cmd/kube-apiserver', stamps: releaseStamps },
  'kube-controller-manager': { source: 'k8s.io/kubernetes/cmd/kube-controller-manager', stamps: releaseStamps },
  'kube-scheduler': { source: 'k8s.io/kubernetes/cmd/kube-scheduler', stamps: releaseStamps },
  'kube-proxy': { source: 'k8s.io/kubernetes/cmd/kube-proxy', stamps: releaseStamps },
  kubelet: { source: 'k8s.io/kubernetes/cmd/kubelet', stamps: releaseStamps },
  etcd: { pinnedBy: 'etcd', source: 'go.etcd.io/etcd/server/v3' },
  etcdctl: { pinnedBy: 'etcd', source: 'go.etcd.io/etcd/etcdctl/v3' },
  kwok: { pinnedBy: 'kwok', source: 'sigs.k8s.io/kwok/cmd/kwok' },
  agnhost: { source: 'k8s.io/kubernetes/test/images/agnhost', stamps: { 'main.Version': AGNHOST_RELEASE } },
  nnp: { source: { module: 'k8s.io/kubernetes', file: 'test/images/nonewprivs/nnp.go' } },
  consumer: { source: 'k8s.io/kubernetes/test/images/resource-consumer' },
  'consume-cpu': { source: 'k8s.io/kubernetes/test/images/resource-consumer/consume-cpu' },
  'sample-apiserver': { source: 'k8s.io/sample-apiserver' },
  // No program of upstream's but one as operators are written: what runs against a cluster in the tests.
  operator: { pinnedBy: 'operator', source: '.' },
} as const satisfies Readonly<Record<string, Recipe>>

export type ProgramName = keyof typeof recipes

/** What a run of the suite needs. */
export const suitePrograms = ['ginkgo', 'e2e.test', 'kubectl'] as const satisfies readonly ProgramName[]
/** What is measured beside proa. */
export const controlPlanePrograms = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kwok',
  'kubelet',
] as const satisfies readonly ProgramName[]

const moduleOf = (recipe: Recipe): string => join(import.meta.dirname, recipe.pinnedBy ?? 'kubernetes')

function programPath(name: ProgramName): string {
  const recipe: Recipe = recipes[name]
  const hash = createHash('sha256').update(process.arch).update(JSON.stringify(recipe))
  const own = recipe.source === '.' ? readdirSync(moduleOf(recipe)).filter((file) => file.endsWith('.go')) : []
  for (const file of ['go.mod', 'go.sum', ...own]) hash.update(readFileSync(join(moduleOf(recipe), file)))
  return join(cacheRoot, 'programs', `${name}-${hash.digest('hex').slice(0, 12)}`, name)
}

const hasGo = (): boolean => spawnSync('go', ['version']).status === 0

function go(cwd: string, args: readonly string[], signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    // A group of its own: the compilers that it starts end with it.
    const child = spawn('go', args, {
      cwd,
      env: { ...process.env, CGO_ENABLED: '0' },
      stdio: ['ignore', 'inherit', 'inherit'],
      detached: true,
    })
    const stop = () => child.pid !== undefined && process.kill(-child.pid, 'SIGTERM')
    signal.addEventListener('abort', stop, { once: true })
    child.on('error', reject)
    child.on('close', (code) => {
      signal.removeEventListener('abort', stop)
      if (signal.aborted) reject(new UserError('stopped while building'))
      else if (code === 0) resolve()
      else reject(new UserError(`go ${args[0]} ended with code ${code}; its messages are above`))
    })
  })
}

/** Where the Go client keeps the sources of a module that the module in `cwd` requires. */
function sourcesOf(cwd: string, module: string): string {
  const found = spawnSync('go', ['mod', 'download', '-json', module], { cwd, encoding: 'utf8' })
  if (found.status !== 0) throw new UserError(`go mod download ${module}: ${found.stderr || found.stdout}`)
  return (JSON.parse(found.stdout) as { readonly Dir: string }).Dir
}

async function build(name: ProgramName, path: string, signal: AbortSignal): Promise<void> {
  const recipe: Recipe = recipes[name]
  const flags = ['-s', '-w', ...Object.entries(recipe.stamps ?? {}).map(([variable, value]) => `-X ${variable}=${value}`)].join(' ')
  const cwd = moduleOf(recipe)
  const source = typeof recipe.source === 'string' ? recipe.source : join(sourcesOf(cwd, recipe.source.module), recipe.source.file)
  const unfinished = `${path}.${process.pid}`
  try {
    // Without vet: it costs minutes and judges code that is not ours.
    const verb = recipe.isTest ? ['test', '-vet=off', '-c'] : ['build']
    mkdirSync(dirname(path), { recursive: true })
    await go(cwd, [...verb, '-trimpath', '-ldflags', flags, '-o', unfinished, source], signal)
    renameSync(unfinished, path)
  } finally {
    rmSync(unfinished, { force: true })
  }
}

/** Operators whose definitions the tests apply, as they publish them in their modules. */
const definitionModules = {
  'cert-manager': { module: 'github.com/cert-manager/cert-manager@v1.21.2', folder: 'deploy/crds' },
  'prometheus-operator': {
    module: 'github.com/prometheus-operator/prometheus-operator@v0.85.0',
    folder: 'example/prometheus-operator-crd',
  },
} as const
export const definitionOwners = Object.keys(definitionModules) as readonly (keyof typeof definitionModules)[]

/** Where an operator's definitions are; undefined when its module was not downloaded yet and may not be now. */
export function definitionsOf(owner: keyof typeof definitionModules, mayDownload: boolean): string | undefined {
  const { module, folder } = definitionModules[owner]
  const env = mayDownload ? process.env : { ...process.env, GOPROXY: 'off' }
  const found = spawnSync('go', ['mod', 'download', '-json', module], { cwd: import.meta.dirname, env, encoding: 'utf8' })
  return found.status === 0 ? join((JSON.parse(found.stdout) as { readonly Dir: string }).Dir, folder) : undefined
}

/** Where the sources of upstream's Kubernetes are: images and tables take their facts from them. */
export const kubernetesSources = (): string => sourcesOf(join(import.meta.dirname, 'kubernetes'), 'k8s.io/kubernetes')

const pathOf = (name: ProgramName): string => {
  const given = process.env['PROA_CONFORMANCE_PROGRAMS']
  const elsewhere = given ? join(given, name) : undefined
  return elsewhere && existsSync(elsewhere) ? elsewhere : programPath(name)
}

/** The paths of programs, or the names of those that were not built yet: for tests, which build nothing. */
export function builtPrograms<Name extends ProgramName>(
  names: readonly Name[],
): Record<Name, string> | { readonly missing: readonly Name[] } {
  const missing = names.filter((name) => !existsSync(pathOf(name)))
  return missing.length > 0 ? { missing } : (Object.fromEntries(names.map((name) => [name, pathOf(name)])) as Record<Name, string>)
}

/**
 * The paths of the programs; those that are not in the cache are built, which takes a quarter of an hour for the suite the first
 * time. PROA_CONFORMANCE_PROGRAMS may name a directory of programs that were built elsewhere; it is looked into first.
 */
export async function findPrograms<Name extends ProgramName>(
  names: readonly Name[],
  step: (text: string) => void,
  signal: AbortSignal,
): Promise<Record<Name, string>> {
  const paths = new Map(names.map((name) => [name, pathOf(name)]))
  const missing = names.filter((name) => !existsSync(paths.get(name)!))
  if (missing.length > 0 && !hasGo()) {
    throw new UserError(
      `Go is not installed, and it must build ${missing.join(', ')} (https://go.dev/dl, 1.26 or newer).\n` +
        'What still runs without it: npm test, npm run check, and npm run bench for proa alone.',
    )
  }
  for (const name of missing) {
    step(`building ${name} (once; kept in ${dirname(paths.get(name)!)})`)
    await build(name, paths.get(name)!, signal)
  }
  return Object.fromEntries(paths) as Record<Name, string>
}
