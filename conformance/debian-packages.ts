/**
 * Programs from Debian's packages without installing them: a package's dependency closure as on an empty system, fetched once into
 * the cache by the machine's own apt (which verifies signatures) and unpacked there. No maintainer script runs, so what those would
 * make (accounts, alternatives, generated configuration) is missing from the files.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
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

/** The packages with all that they depend on, as if nothing were installed; without what is only recommended. */
export async function resolveClosure(names: readonly string[], signal: AbortSignal): Promise<DebianPackage[]> {
  const flags = ['--simulate', '-o', 'Dir::State::status=/dev/null', '-o', 'APT::Install-Recommends=0', '-o', 'Debug::NoLocking=1']
  return parseClosure(await run('apt-get', ['install', ...flags, ...names], signal))
}

/** As apt names the file that it downloads. */
export const fileOf = ({ name, version, architecture }: DebianPackage): string =>
  `${name}_${version.replaceAll(':', '%3a')}_${architecture}.deb`

/** Fetches what the cache lacks in one call: each start of apt costs seconds. */
export async function fetchPackages(packages: readonly DebianPackage[], step: (text: string) => void, signal: AbortSignal): Promise<void> {
  const missing = [...new Map(packages.map((one) => [fileOf(one), one])).values()].filter((one) => !existsSync(join(debs, fileOf(one))))
  if (missing.length === 0) return
  step(`fetching ${missing.length} Debian packages (once; kept in ${debs})`)
  const incoming = join(debs, `incoming-${process.pid}`)
  mkdirSync(incoming, { recursive: true })
  try {
    const wanted = missing.map(({ name, version }) => `${name}=${version}`)
    await run('apt-get', ['download', '-q', '-o', 'APT::Sandbox::User=root', ...wanted], signal, incoming)
    for (const one of missing) renameSync(join(incoming, fileOf(one)), join(debs, fileOf(one)))
  } finally {
    rmSync(incoming, { recursive: true, force: true })
  }
}

export async function unpackPackages(packages: readonly DebianPackage[], directory: string, signal: AbortSignal): Promise<void> {
  mkdirSync(directory, { recursive: true })
  for (const one of packages) await run('dpkg', ['--extract', join(debs, fileOf(one)), directory], signal)
}
