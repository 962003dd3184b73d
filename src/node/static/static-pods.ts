/**
 * Follows the directory of static pods: a worker for each file, ended when the file goes, replaced when it changes. For each, a mirror pod
 * in the API shows it to others; one that somebody deletes comes back, and one without a file goes. The directory is read at once when the
 * kernel tells of a change, and now and then beside.
 */
import type { Pod } from '../../api/generated/core/v1.ts'
import { isApiError } from '../../api/status.ts'
import { sleep } from '../../base/clock.ts'
import { durationMs } from '../configuration.ts'
import type { NodeContext } from '../node-context.ts'
import type { PodWorker } from '../pod-worker.ts'
import { createMirrorWriter, type MirrorWriter } from './mirror-writer.ts'
import { hashOf, mirroredHash, mirrorOf, parseManifest } from './manifest.ts'

export interface StaticPods {
  /** Reads the directory once: those that are there run from now on. */
  load(signal: AbortSignal): Promise<void>
  /** Follows the directory until the signal aborts. */
  run(signal: AbortSignal): Promise<void>
  /** True when the API's pod is a mirror, which is not to be run. */
  sawMirror(pod: Pod): boolean
  lostMirror(pod: Pod): void
  /** The worker of the static pod of this name. */
  find(namespace: string, name: string): PodWorker | undefined
}

export interface StaticPodsOptions {
  readonly node: NodeContext
  readonly directory: string
  start(pod: Pod, writer: MirrorWriter): PodWorker
}

interface Entry {
  readonly pod: Pod
  readonly writer: MirrorWriter
  readonly worker: PodWorker
}

const MANIFEST = /\.(?:yaml|yml|json)$|^[^.]+$/
const RETRY_MS = 2000
const MAX_MANIFESTS = 200

const keyOf = ({ metadata }: Pod): string => `${metadata?.namespace}/${metadata?.name}`

export function createStaticPods({ node, directory, start }: StaticPodsOptions): StaticPods {
  const { clock, log } = node.runtime
  const entries = new Map<string, Entry>()
  const mirrors = new Map<string, Pod>()
  /** What was wrong with a file is told once. */
  const told = new Map<string, string>()
  let isStopping = false
  let wake = () => {}

  async function read(): Promise<ReadonlyMap<string, Pod>> {
    const found = new Map<string, Pod>()
    const names = (await node.host.listDirectory(directory)).filter((name) => !name.startsWith('.') && MANIFEST.test(name)).toSorted()
    for (const name of names.slice(0, MAX_MANIFESTS)) {
      const path = `${directory}/${name}`
      const text = await node.host.readNodeFile(path)
      if (text === undefined || text.trim() === '') continue
      try {
        const pod = parseManifest(text, path, node.nodeName, `${new Date(clock.now()).toISOString()}`)
        if (!found.has(keyOf(pod))) found.set(keyOf(pod), pod)
        told.delete(path)
      } catch (error) {
        const problem = error instanceof Error ? error.message : String(error)
        if (told.get(path) !== problem) log.error('static pod not read', { path, error: problem })
        told.set(path, problem)
      }
    }
    return found
  }

  function begin(pod: Pod, signal: AbortSignal): void {
    const key = keyOf(pod)
    const writer = createMirrorWriter(node.runtime, node.client, pod, signal)
    const worker = start(pod, writer)
    entries.set(key, { pod, writer, worker })
    const mirror = mirrors.get(key)
    if (mirror) writer.sawMirror(mirror)
    // The next file of this name may begin when this one has ended.
    void worker.finished.then(() => {
      if (entries.get(key)?.worker === worker) entries.delete(key)
      wake()
    })
  }

  /** Brings workers in line with the files. */
  async function sync(signal: AbortSignal): Promise<void> {
    const wanted = await read()
    for (const [key, { pod, worker }] of entries) if (wanted.get(key)?.metadata?.uid !== pod.metadata?.uid) worker.removed(pod)
    for (const [key, pod] of wanted) if (!entries.has(key)) begin(pod, signal)
  }

  /** Brings the API in line with the workers. */
  async function mirror(): Promise<void> {
    for (const [key, found] of mirrors) {
      const entry = entries.get(key)
      const isOurs = entry && mirroredHash(found) === hashOf(entry.pod) && !found.metadata?.deletionTimestamp
      if (isOurs || (entry && entry.worker.state === 'terminating')) continue
      await deleteMirror(found)
      mirrors.delete(key)
    }
    for (const [key, { pod, writer }] of entries) {
      if (mirrors.has(key)) continue
      const { uid = '' } = (await node.client.get('v1/Node', { name: node.nodeName })).metadata ?? {}
      try {
        const made = await node.client.create('v1/Pod', mirrorOf(pod, uid))
        mirrors.set(key, made)
        writer.sawMirror(made)
      } catch (error) {
        // One of an earlier agent: the informer will show it.
        if (!isApiError(error, 'AlreadyExists')) throw error
      }
    }
  }

  async function deleteMirror({ metadata }: Pod): Promise<void> {
    try {
      const key = { namespace: metadata?.namespace, name: metadata?.name ?? '' }
      await node.client.delete('v1/Pod', key, { gracePeriodSeconds: 0, preconditions: { uid: metadata?.uid ?? '' } })
    } catch (error) {
      if (!isApiError(error, 'NotFound', 'Conflict')) throw error
    }
  }

  async function waitForNews(delayMs: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController()
    wake = () => woken.abort()
    await sleep(clock, delayMs, AbortSignal.any([signal, woken.signal])).catch((error: unknown) => {
      if (!signal.aborted && !woken.signal.aborted) throw error
    })
    wake = () => {}
  }

  return {
    async load(signal) {
      await node.host.makeDirectory(directory, 0o755)
      await sync(signal)
    },
    async run(signal) {
      node.host.watchDirectory?.(directory, () => wake(), signal)
      const periodMs = durationMs(node.configuration.fileCheckFrequency)
      while (!signal.aborted) {
        let delayMs = periodMs
        try {
          await sync(signal)
          await mirror()
        } catch (error) {
          if (signal.aborted) return
          log.warn('static pods not in line', { error: String(error) })
          delayMs = RETRY_MS
        }
        await waitForNews(delayMs, signal)
      }
      isStopping = true
    },
    sawMirror(pod) {
      if (mirroredHash(pod) === undefined) return false
      mirrors.set(keyOf(pod), pod)
      entries.get(keyOf(pod))?.writer.sawMirror(pod)
      if (!isStopping) wake()
      return true
    },
    lostMirror(pod) {
      if (mirrors.get(keyOf(pod))?.metadata?.uid !== pod.metadata?.uid) return
      mirrors.delete(keyOf(pod))
      entries.get(keyOf(pod))?.writer.lostMirror()
      wake()
    },
    find: (namespace, name) => entries.get(`${namespace}/${name}`)?.worker,
  }
}
