/**
 * Sees to it that a container's image is on the machine: the pull policy, credentials, one pull at a time of the same image
 * however many pods want it, and the back-off of pulls that fail. Failures are values with the reason that the container's status
 * shows.
 */
import type { Runtime } from '../base/runtime.ts'
import { goDuration } from '../base/go-duration.ts'
import { backOffUntil, raiseBackOff, type BackOff } from './back-off.ts'
import type { ContainerRuntime, Image, RegistryCredentials } from './container-runtime.ts'
import { parseImageName, withDefaultTag } from './image-name.ts'
import type { ContainerEvents } from './pod-events.ts'

export interface ImageFailure {
  readonly reason:
    | 'InvalidImageName'
    | 'ErrImageNeverPull'
    | 'ErrImagePull'
    | 'ImagePullBackOff'
    | 'ImageInspectError'
    | 'RegistryUnavailable'
    | 'SignatureValidationFailed'
  readonly message: string
  /** When to try again; undefined when only another spec can help. */
  readonly retryAtMs: number | undefined
}

export type ImageOutcome = { readonly image: Image } | ImageFailure

export interface ImageRequest {
  /** As the spec names it. */
  readonly image: string
  readonly pullPolicy: string | undefined
  readonly podUid: string
  /** Those whose registry fits, to be tried in order. */
  credentialsFor(repository: string): Promise<readonly RegistryCredentials[]>
  readonly events: ContainerEvents
  readonly signal: AbortSignal
}

export interface ImageStore {
  ensure(request: ImageRequest): Promise<ImageOutcome>
  /** Forgets what failed for a pod. */
  forget(podUid: string): void
}

/** Failed pulls that are remembered; beyond that the oldest is forgotten, which only shortens its back-off. */
const MAX_REMEMBERED = 4096
/** How soon after a failure the status says that it waits: long enough to be seen failing. */
const SHOW_FAILURE_MS = 2000
const NEVER_PRESENT_RETRY_MS = 10_000

interface Failure {
  readonly backOff: BackOff
  readonly message: string
}

/** A runtime may say by the first word what it was (cri-api pkg/errors). */
function pullFailure(image: string, text: string): Pick<ImageFailure, 'reason' | 'message'> {
  for (const [reason, because] of [
    ['RegistryUnavailable', 'the registry is unavailable'],
    ['SignatureValidationFailed', 'the signature validation failed'],
  ] as const)
    if (text.startsWith(reason)) return { reason, message: `image pull failed for ${image} because ${because}${text.slice(reason.length)}` }
  return { reason: 'ErrImagePull', message: text }
}

export function createImageStore(runtime: Runtime, containers: ContainerRuntime): ImageStore {
  const { clock } = runtime
  const failures = new Map<string, Failure>()
  const pulls = new Map<string, Promise<string>>()

  /** Pods that want the same image with the same credentials share the pull, so it must not end with the first of them. */
  function pullOnce(image: string, credentials: RegistryCredentials | undefined): Promise<string> {
    const key = `${image} ${credentials?.username ?? ''} ${credentials?.password ?? ''}`
    let running = pulls.get(key)
    if (!running) {
      running = containers.pullImage(image, credentials, new AbortController().signal).finally(() => pulls.delete(key))
      pulls.set(key, running)
    }
    return running
  }

  async function pull(image: string, request: ImageRequest, repository: string): Promise<ImageOutcome> {
    const { events, podUid } = request
    const key = `${podUid}_${image}`
    const before = failures.get(key)
    const nowMs = clock.now()
    const untilMs = before && backOffUntil(before.backOff, before.backOff.updatedMs, nowMs)
    if (before && untilMs !== undefined) {
      events('Normal', 'BackOff', `Back-off pulling image "${image}"`)
      return { reason: 'ImagePullBackOff', message: `Back-off pulling image "${image}": ${before.message}`, retryAtMs: untilMs }
    }
    events('Normal', 'Pulling', `Pulling image "${image}"`)
    const startMs = clock.monotonic()
    let failure = ''
    const credentials = await request.credentialsFor(repository)
    for (const credential of credentials.length > 0 ? credentials : [undefined]) {
      try {
        await pullOnce(image, credential)
        const found = await containers.imageStatus(image)
        if (!found) throw new Error(`image "${image}" is not there after its pull`)
        const took = goDuration(clock.monotonic() - startMs)
        events(
          'Normal',
          'Pulled',
          `Successfully pulled image "${image}" in ${took} (${took} including waiting). Image size: ${found.sizeBytes} bytes.`,
        )
        failures.delete(key)
        return { image: found }
      } catch (error) {
        failure = error instanceof Error ? error.message : String(error)
      }
    }
    events('Warning', 'Failed', `Failed to pull image "${image}": ${failure}`)
    const failedMs = clock.now()
    const why = pullFailure(image, failure)
    if (failures.size >= MAX_REMEMBERED) failures.delete(failures.keys().next().value!)
    failures.set(key, {
      backOff: raiseBackOff(before?.backOff, before?.backOff.updatedMs ?? failedMs, failedMs),
      message: `${why.reason}: ${why.message}`,
    })
    return { ...why, retryAtMs: failedMs + SHOW_FAILURE_MS }
  }

  return {
    async ensure(request) {
      const { image: requested, events } = request
      const name = parseImageName(requested)
      if (!name) {
        const message = `Failed to apply default image tag "${requested}": couldn't parse image name "${requested}": invalid reference format`
        events('Warning', 'InspectFailed', message)
        return { reason: 'InvalidImageName', message, retryAtMs: undefined }
      }
      const image = withDefaultTag(requested, name)
      const policy = request.pullPolicy ?? (name.tag === 'latest' ? 'Always' : 'IfNotPresent')
      if (policy !== 'Always') {
        let present: Image | undefined
        try {
          present = await containers.imageStatus(image)
        } catch (error) {
          const message = `Failed to inspect image "": ${error instanceof Error ? error.message : String(error)}`
          events('Warning', 'InspectFailed', message)
          return { reason: 'ImageInspectError', message, retryAtMs: clock.now() + NEVER_PRESENT_RETRY_MS }
        }
        if (present) {
          events('Normal', 'Pulled', `Container image "${requested}" already present on machine and can be accessed by the pod`)
          return { image: present }
        }
        if (policy === 'Never') {
          const message = `Container image "${requested}" is not present with pull policy of Never`
          events('Warning', 'ErrImageNeverPull', message)
          return { reason: 'ErrImageNeverPull', message, retryAtMs: clock.now() + NEVER_PRESENT_RETRY_MS }
        }
      }
      return pull(image, request, name.repository)
    },
    forget(podUid) {
      for (const key of failures.keys()) if (key.startsWith(`${podUid}_`)) failures.delete(key)
    },
  }
}
