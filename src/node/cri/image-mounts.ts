/**
 * Image volumes for a containerd whose CRI knows none (before 2.1): the image's unpacked layers are viewed as a read-only snapshot, and
 * that is mounted into the pod's directory. A view is named after the place where it is mounted and labelled with its pod: it is found
 * again by a restarted agent, and the garbage collector of containerd leaves it alone.
 */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { RuntimeError } from '../container-runtime.ts'
import type { GrpcCalls } from './grpc-calls.ts'
import { mountPoints, systemEnvironment } from './processes.ts'

const run = promisify(execFile)

const SNAPSHOTTER = 'overlayfs'
const POD_LABEL = 'proa.dev/image-volume-pod'
/** What bears it is no garbage. */
const KEEP_LABEL = 'containerd.io/gc.root'

interface WireMount {
  readonly type: string
  readonly source: string
  readonly options: readonly string[]
}

export async function mountImage(calls: GrpcCalls, imageId: string, target: string, podUid: string): Promise<void> {
  if (mountPoints(await readFile('/proc/self/mountinfo', 'utf8')).includes(target)) return
  const mounts = await viewOf(calls, target, await topLayer(calls, imageId), podUid)
  if (mounts.length !== 1) throw new RuntimeError('Unknown', `an image is mounted by one mount, the snapshotter names ${mounts.length}`)
  await mount(mounts[0]!, target)
}

/** The name of the snapshot with all layers of the image. */
async function topLayer(calls: GrpcCalls, imageId: string): Promise<string> {
  const request = { image: { image: imageId }, verbose: true }
  const { info } = await calls.call<{ info: Readonly<Record<string, string>> }>('ImageService', 'ImageStatus', request)
  const { chainID } = JSON.parse(info['info'] ?? '{}') as { readonly chainID?: string }
  if (!chainID) throw new RuntimeError('NotFound', `image "${imageId}" is not unpacked`)
  return chainID
}

async function viewOf(calls: GrpcCalls, key: string, parent: string, podUid: string): Promise<readonly WireMount[]> {
  const labels = { [POD_LABEL]: podUid, [KEEP_LABEL]: new Date().toISOString() }
  try {
    return (await calls.call<{ mounts: readonly WireMount[] }>('Snapshots', 'View', { snapshotter: SNAPSHOTTER, key, parent, labels }))
      .mounts
  } catch (error) {
    if (!(error instanceof RuntimeError) || error.code !== 'AlreadyExists') throw error
    // An earlier agent made it, or the machine was restarted since.
    return (await calls.call<{ mounts: readonly WireMount[] }>('Snapshots', 'Mounts', { snapshotter: SNAPSHOTTER, key })).mounts
  }
}

/** The options of a mount are a page at most: layers of one overlay are named relative to the directory that they share. */
async function mount({ type, source, options }: WireMount, target: string): Promise<void> {
  const lower = options.find((option) => option.startsWith('lowerdir='))
  if (type !== 'overlay' || lower === undefined) {
    const flags = options.includes('ro') ? options : [...options, 'ro']
    await run('mount', ['--no-canonicalize', '-t', type, '-o', flags.join(','), source, target], { env: systemEnvironment() })
    return
  }
  const layers = lower.slice('lowerdir='.length).split(':')
  // <root>/snapshots/<number>/fs
  const shared = dirname(dirname(layers[0]!))
  const short = layers.map((layer) => (layer.startsWith(`${shared}/`) ? layer.slice(shared.length + 1) : layer)).join(':')
  const others = options.filter((option) => option !== lower && option !== 'ro')
  await run('mount', ['--no-canonicalize', '-t', 'overlay', '-o', ['ro', ...others, `lowerdir=${short}`].join(','), 'overlay', target], {
    env: systemEnvironment(),
    cwd: shared,
  })
}

export async function releaseImages(calls: GrpcCalls, isHeld: (podUid: string) => boolean): Promise<void> {
  interface Info {
    readonly name: string
    readonly labels: Readonly<Record<string, string>>
  }
  const request = { snapshotter: SNAPSHOTTER, filters: [`labels."${POD_LABEL}"`] }
  const released: string[] = []
  const answers = calls.stream<{ info: readonly Info[] }>('Snapshots', 'List', request, new AbortController().signal)
  for await (const { info } of answers) {
    for (const { name, labels } of info) if (!isHeld(labels[POD_LABEL] ?? '')) released.push(name)
  }
  for (const key of released) {
    await calls.call('Snapshots', 'Remove', { snapshotter: SNAPSHOTTER, key }).catch((error: unknown) => {
      if (!(error instanceof RuntimeError) || error.code !== 'NotFound') throw error
    })
  }
}

/** Whether this runtime takes images as mounts of containers: containerd does from 2.1 on, and so do others that have the field. */
export function takesImageMounts({ name, version }: { readonly name: string; readonly version: string }): boolean {
  if (name !== 'containerd') return true
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number)
  return major > 2 || (major === 2 && minor >= 1)
}
