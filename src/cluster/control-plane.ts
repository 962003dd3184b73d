/**
 * The control plane, every part on one page: the API server over a store, the controllers, the scheduler. The library and the
 * server process both start it; what they add is nodes, and roads from outside.
 */
import { createHash } from 'node:crypto'
import type { UserInfo } from '../api/exchange.ts'
import type { Runtime } from '../base/runtime.ts'
import { createInformers, type Informers } from '../client/informers.ts'
import { runWhenLeading } from '../client/leader-election.ts'
import { builtInControllers } from '../controllers/index.ts'
import { createControllerMetrics } from '../controllers/metrics.ts'
import { runControllers } from '../controllers/run.ts'
import { legacyClaims } from '../server/authentication/legacy-tokens.ts'
import { createSchedulerMetrics } from '../scheduler/metrics.ts'
import { startApiPlane, type ApiPlane, type ApiPlaneOptions } from './api-plane.ts'
import { signRequest, type KeyPair } from './certificates.ts'
import * as identities from './identities.ts'
import type { Lifecycle, Part } from './lifecycle.ts'
import { createScheduler, type SchedulerSetup } from './scheduler-setup.ts'

export interface ControlPlaneOptions extends ApiPlaneOptions {
  /** PEM of the cluster's authority, which pods find in kube-root-ca.crt. */
  readonly rootCa: string
  readonly podCidr: string
  /** Default: upstream's default profile. */
  readonly scheduler?: SchedulerSetup
  /**
   * Where several servers share a store: the name of this one, by which its controllers and scheduler stand for election. They rest
   * until the others' lease has run out or was given back.
   */
  readonly candidate?: string
  /** The cluster's authority, which signs certificates that are asked for. */
  authority(): Promise<KeyPair> | KeyPair
}

export interface ControlPlane extends ApiPlane {
  /** Of the controllers and the scheduler; nodes in the same process may share them. */
  readonly informers: Informers
}

/** Starts the parts in order; resolves when the API is ready and the system namespaces are there. */
export async function startControlPlane(runtime: Runtime, lifecycle: Lifecycle, options: ControlPlaneOptions): Promise<ControlPlane> {
  const api = await startApiPlane(runtime, lifecycle, options)
  const { client } = api
  const informers = createInformers(runtime, client(identities.controllerManager))
  lifecycle.start({ name: 'informers', run: (signal) => informers.run(signal) })
  const metrics = createControllerMetrics(runtime.clock)
  const schedulerMetrics = createSchedulerMetrics()
  for (const { name, help, type, read } of [...metrics.families, ...schedulerMetrics.families])
    api.server.core.metrics.expose(name, help, type, read)
  const { rootCa, podCidr, tokenSigner } = options
  /** Made anew for each term: some remember what they saw. */
  const createControllers = () =>
    builtInControllers({
      rootCa,
      podCidr,
      sha256: (text) => createHash('sha256').update(text).digest('hex'),
      issueToken: (subject) => tokenSigner.sign(legacyClaims(subject)),
      signCertificate: async (request) => signRequest(runtime.clock, await options.authority(), request),
    })
  async function runAll(signal: AbortSignal): Promise<void> {
    const running = createControllers().map((controller) => {
      const own = identities.controllerAccount(controller.component ?? `${controller.name}-controller`)
      const account = controller.runsAsManager ? identities.controllerManager : own
      return runControllers(runtime, client(account), [controller], signal, { informers, metrics })
    })
    await Promise.all(running)
  }
  const whenLeading = (user: UserInfo, name: string, work: (signal: AbortSignal) => Promise<void>): Part => ({
    name,
    run: (signal) =>
      options.candidate === undefined
        ? work(signal)
        : runWhenLeading(runtime, client(user), { namespace: 'kube-system', name, identity: options.candidate }, signal, work),
  })
  lifecycle.start(whenLeading(identities.controllerManager, 'kube-controller-manager', runAll))
  const newScheduler = () => createScheduler(runtime, client(identities.scheduler), informers, options.scheduler, schedulerMetrics)
  // The first one at once: what is wrong with its configuration is to be told now.
  let ready: ReturnType<typeof newScheduler> | undefined = newScheduler()
  const runScheduler = (signal: AbortSignal): Promise<void> => {
    const scheduler = ready ?? newScheduler()
    ready = undefined
    return scheduler.run(signal)
  }
  lifecycle.start(whenLeading(identities.scheduler, 'kube-scheduler', runScheduler))
  return { ...api, informers }
}
