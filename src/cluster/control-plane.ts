/**
 * The control plane, every part on one page: the API server over a store, the controllers, the scheduler. The library and the
 * server process both start it; what they add is nodes, and roads from outside.
 */
import type { Runtime } from '../base/runtime.ts'
import { createInformers, type Informers } from '../client/informers.ts'
import { builtInControllers } from '../controllers/index.ts'
import { runControllers } from '../controllers/run.ts'
import { legacyClaims } from '../server/authentication/legacy-tokens.ts'
import { startApiPlane, type ApiPlane, type ApiPlaneOptions } from './api-plane.ts'
import { signRequest, type KeyPair } from './certificates.ts'
import * as identities from './identities.ts'
import type { Lifecycle } from './lifecycle.ts'
import { createScheduler, type SchedulerSetup } from './scheduler-setup.ts'

export interface ControlPlaneOptions extends ApiPlaneOptions {
  /** PEM of the cluster's authority, which pods find in kube-root-ca.crt. */
  readonly rootCa: string
  readonly podCidr: string
  /** Default: upstream's default profile. */
  readonly scheduler?: SchedulerSetup
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
  const { rootCa, podCidr, tokenSigner } = options
  const controllers = builtInControllers({
    rootCa,
    podCidr,
    issueToken: (subject) => tokenSigner.sign(legacyClaims(subject)),
    signCertificate: async (request) => signRequest(runtime.clock, await options.authority(), request),
  })
  for (const controller of controllers) {
    const own = identities.controllerAccount(controller.component ?? `${controller.name}-controller`)
    const account = controller.runsAsManager ? identities.controllerManager : own
    lifecycle.start({
      name: `controller ${controller.name}`,
      run: (signal) => runControllers(runtime, client(account), [controller], signal, { informers }),
    })
  }
  const scheduler = createScheduler(runtime, client(identities.scheduler), informers, options.scheduler)
  lifecycle.start({ name: 'scheduler', run: (signal) => scheduler.run(signal) })
  return { ...api, informers }
}
