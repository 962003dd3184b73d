/**
 * Programs from Debian's packages without installing them: a package's dependency closure as on an empty system, fetched once into
 * the cache by the machine's own apt (which verifies signatures) and unpacked there. No maintainer script runs, so what those would
 * make (accounts, alternatives, generated configuration) is missing from the files.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cacheRoot } from '../upstream/programs.ts'
import { UserError } from '../src/cluster/user-error.ts'

export interface DebianPackage {
  readonly name: string
  readonly version: string
  readonly architecture: string
}

/** What an image of one program needs not: interpreters and databases of maintainer scripts, essential packages' own content. */
const LEFT_OUT =
  /^(perl|libperl|debconf|dpkg|tar$|gcc-\d+-base|openssl$|ca-certificates|adduser|passwd|login|base-|libpam|lsb-base|sysvinit|media-types|krb5-locales|publicsuffix|iso-codes|mawk|debianutils|init-system-helpers|geoip-database|libcap2-bin|libaudit|libsemanage|libgdbm)/

const debs = join(cacheRoot, 'packages')

/** Another release of Debian than the machine's own, for a program that is too old there. */
export type OtherRelease = 'trixie'
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
const LISTS_KEPT_MS = 24 * 3_600_000

function run(command: string, args: readonly string[], signal: AbortSignal, cwd?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, signal, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } })
    let output = ''
    let errors = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
    child.on('error', (error: NodeJS.ErrnoException) => {
      if (error.name === 'AbortError') reject(new UserError(`stopped while ${command} was running`))
      else if (error.code === 'ENOENT') reject(new UserError(`${command} is not installed. ${WITHOUT_APT}`))
      else reject(error)
    })
    child.on('close', (code) => {
      if (code === 0) resolve(output)
      else reject(new UserError(`${command} ${args.join(' ')} ended with code ${code}: ${errors.trim()}\n${AFTER_FAILURE}`))
    })
  })
}

const WITHOUT_APT =
  'The images of the suite are put together from Debian packages, so they can be made on Debian or Ubuntu; elsewhere set ' +
  'PROA_CONFORMANCE_IMAGES to an OCI archive that was made there. Without images, npm run conformance runs on simulated nodes.'
const AFTER_FAILURE = 'When apt does not know a package or its version, "apt-get update" (as root) brings its lists up to date.'

/** Reads what `apt-get install --simulate` would install, in its order. */
export function parseClosure(output: string): DebianPackage[] {
  return [...output.matchAll(/^Inst (\S+) \((\S+) .*\[([a-z0-9]+)\]\)/gm)]
    .map(([, name, version, architecture]) => ({ name: name!.replace(/:.*/, ''), version: version!, architecture: architecture! }))
    .filter(({ name }) => !LEFT_OUT.test(name))
}

/** The first mirror of packages, not of their security updates, that this machine's apt asks. */
export function mirrorOf(sources: string): string | undefined {
  const addresses = [...sources.matchAll(/^(?:URIs:\s*|deb\s+(?:\[[^\]]*\]\s*)?)(https?:\/\/\S+)/gm)].map(([, address]) => address!)
  return addresses.find((address) => !address.includes('security'))?.replace(/\/$/, '')
}

function machineSources(): string {
  const more = '/etc/apt/sources.list.d'
  const files = ['/etc/apt/sources.list', ...(existsSync(more) ? readdirSync(more).map((name) => join(more, name)) : [])]
  return files.flatMap((path) => (existsSync(path) ? [readFileSync(path, 'utf8')] : [])).join('\n')
}

/** Flags that make apt see that release alone, from the machine's own mirror; its lists are kept for a day. */
async function flagsFor(release: OtherRelease | undefined, signal: AbortSignal): Promise<readonly string[]> {
  if (!release) return []
  const mirror = mirrorOf(machineSources())
  if (!mirror || !existsSync(KEYRING)) throw new UserError(`apt names no mirror of Debian's ${release}. ${WITHOUT_APT}`)
  const state = join(cacheRoot, `apt-${release}`)
  const sources = join(state, 'sources.list')
  const flags = [
    ...['-o', `Dir::Etc::sourcelist=${sources}`, '-o', 'Dir::Etc::sourceparts=-', '-o', `Dir::State::lists=${join(state, 'lists')}`],
    ...['-o', `Dir::Cache=${join(state, 'cache')}`, '-o', 'APT::Sandbox::User=root'],
  ]
  const updated = join(state, 'updated')
  if (!existsSync(updated) || Date.now() - statSync(updated).mtimeMs > LISTS_KEPT_MS) {
    for (const folder of ['lists/partial', 'cache/archives/partial']) mkdirSync(join(state, folder), { recursive: true })
    writeFileSync(sources, `deb [signed-by=${KEYRING}] ${mirror} ${release} main\n`)
    await run('apt-get', ['update', '-q', ...flags], signal)
    writeFileSync(updated, '')
  }
  return flags
}

/** The packages with all that they depend on, as if nothing were installed; without what is only recommended. */
export async function resolveClosure(names: readonly string[], signal: AbortSignal, release?: OtherRelease): Promise<DebianPackage[]> {
  const flags = ['--simulate', '-o', 'Dir::State::status=/dev/null', '-o', 'APT::Install-Recommends=0', '-o', 'Debug::NoLocking=1']
  return parseClosure(await run('apt-get', ['install', ...flags, ...(await flagsFor(release, signal)), ...names], signal))
}

/** As apt names the file that it downloads. */
export const fileOf = ({ name, version, architecture }: DebianPackage): string =>
  `${name}_${version.replaceAll(':', '%3a')}_${architecture}.deb`

/** Fetches what the cache lacks in one call: each start of apt costs seconds. */
export async function fetchPackages(
  packages: readonly DebianPackage[],
  step: (text: string) => void,
  signal: AbortSignal,
  release?: OtherRelease,
): Promise<void> {
  const missing = [...new Map(packages.map((one) => [fileOf(one), one])).values()].filter((one) => !existsSync(join(debs, fileOf(one))))
  if (missing.length === 0) return
  step(`fetching ${missing.length} Debian packages (once; kept in ${debs})`)
  const incoming = join(debs, `incoming-${process.pid}`)
  mkdirSync(incoming, { recursive: true })
  try {
    const wanted = missing.map(({ name, version }) => `${name}=${version}`)
    await run(
      'apt-get',
      ['download', '-q', '-o', 'APT::Sandbox::User=root', ...(await flagsFor(release, signal)), ...wanted],
      signal,
      incoming,
    )
    for (const one of missing) renameSync(join(incoming, fileOf(one)), join(debs, fileOf(one)))
  } finally {
    rmSync(incoming, { recursive: true, force: true })
  }
}

export async function unpackPackages(packages: readonly DebianPackage[], directory: string, signal: AbortSignal): Promise<void> {
  mkdirSync(directory, { recursive: true })
  for (const one of packages) await run('dpkg', ['--extract', join(debs, fileOf(one)), directory], signal)
}
