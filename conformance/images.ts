/**
 * The suite's images as one OCI archive in the cache, put together without a registry or a builder. Its name is the hash of all that
 * goes into it (packages with their versions, programs, the code that lays them out), so what is found there is what would be made.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { UserError } from '../src/cluster/user-error.ts'
import { buildImageArchive } from '../src/node/cri/oci-image.ts'
import { cacheRoot, findPrograms, kubernetesSources } from '../upstream/programs.ts'
import { fetchPackages, fileOf, resolveClosure, unpackPackages } from './debian-packages.ts'
import type { DebianPackage } from './debian-packages.ts'
import { createLayers, imagePrograms, packageSets } from './image-layers.ts'
import type { LayerSources, PackageSet } from './image-layers.ts'
import { suiteImages } from './image-table.ts'

const root = join(import.meta.dirname, '..')
const archives = join(cacheRoot, 'images')
/** Each is half a gigabyte. */
const KEPT_ARCHIVES = 2
/** As in upstream's base images. */
const ENVIRONMENT = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin']
const HASH_CHARACTERS = 12

/** The code that decides what is in the archive. */
const RECIPE = [
  'conformance/image-files.ts',
  'conformance/image-layers.ts',
  'conformance/image-table.ts',
  'conformance/images.ts',
  'src/node/cri/oci-image.ts',
  'src/node/cri/pause-program.ts',
]
const sets = Object.keys(packageSets) as PackageSet[]
type Closures = Readonly<Record<PackageSet, readonly DebianPackage[]>>

function archiveName(closures: Closures, programs: LayerSources['programs']): string {
  const hash = createHash('sha256').update(process.arch)
  for (const path of RECIPE) hash.update(readFileSync(join(root, path)))
  for (const set of sets) hash.update(set).update(closures[set].map(fileOf).join())
  for (const path of Object.values(programs)) {
    // A program's directory is named after what it is built from; one that was built elsewhere is known by its size and age.
    const { size, mtimeMs } = statSync(path)
    hash.update(path.startsWith(cacheRoot) ? path.slice(cacheRoot.length) : `${path} ${size} ${mtimeMs}`)
  }
  return `${hash.digest('hex').slice(0, HASH_CHARACTERS)}.tar`
}

/** Two runs may make the same archive at once: it appears under its name only when it is complete. */
async function makeArchive(path: string, closures: Closures, programs: LayerSources['programs'], signal: AbortSignal): Promise<void> {
  const work = `${path}.${process.pid}`
  try {
    const packages = Object.fromEntries(sets.map((set) => [set, join(work, set)])) as Record<PackageSet, string>
    for (const set of sets) await unpackPackages(closures[set], packages[set], signal)
    const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64'
    const layers = createLayers({ architecture, packages, programs, kubernetes: kubernetesSources() })
    const archive = await buildImageArchive(
      suiteImages.map(({ name, layers: names, config }) => {
        const files = names.map((layer) => layers[layer])
        return { name, architecture, config: { Env: ENVIRONMENT, ...config }, lowerLayers: files.slice(0, -1), files: files.at(-1)! }
      }),
    )
    const unfinished = join(work, 'archive.tar')
    writeFileSync(unfinished, archive)
    renameSync(unfinished, path)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** Archives of the past, and what a killed run left half made. */
function removeOld(current: string): void {
  const found = readdirSync(archives)
    .map((name) => ({ path: join(archives, name), time: statSync(join(archives, name)).mtimeMs }))
    .toSorted((a, b) => b.time - a.time)
  const isHalfMadeByLiving = (path: string) => existsSync(`/proc/${/\.(\d+)$/.exec(path)?.[1] ?? 'none'}`)
  const whole = found.filter(({ path }) => path.endsWith('.tar') && path !== current)
  const halves = found.filter(({ path }) => !path.endsWith('.tar') && !isHalfMadeByLiving(path))
  for (const { path } of [...whole.slice(KEPT_ARCHIVES - 1), ...halves]) rmSync(path, { recursive: true, force: true })
}

/** The archive's path. PROA_CONFORMANCE_IMAGES may name one that was made elsewhere. */
export async function findImageArchive(step: (text: string) => void, signal: AbortSignal): Promise<string> {
  const given = process.env['PROA_CONFORMANCE_IMAGES']
  if (given !== undefined && given !== '') {
    if (!existsSync(given)) throw new UserError(`PROA_CONFORMANCE_IMAGES names ${given}, which does not exist`)
    return given
  }
  if (process.arch !== 'x64' && process.arch !== 'arm64') throw new UserError(`no images are made for the processor ${process.arch}`)
  const programs = await findPrograms(imagePrograms, step, signal)
  step("looking up the images' Debian packages")
  const closures = Object.fromEntries(
    await Promise.all(sets.map(async (set) => [set, await resolveClosure(packageSets[set], signal)] as const)),
  ) as Record<PackageSet, DebianPackage[]>
  const path = join(archives, archiveName(closures, programs))
  if (!existsSync(path)) {
    await fetchPackages(Object.values(closures).flat(), step, signal)
    step(`putting ${suiteImages.length} images together (once; kept in ${dirname(path)})`)
    mkdirSync(archives, { recursive: true })
    await makeArchive(path, closures, programs, signal)
  }
  const now = new Date()
  utimesSync(path, now, now)
  removeOld(path)
  return path
}
