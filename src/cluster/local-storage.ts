/**
 * Storage that every cluster has from its first moment: a default StorageClass whose volumes are directories of the nodes, and the
 * provisioner that makes them: itself for nodes of this process or machine, by the node's own API for machines that joined.
 */
import type { Runtime } from '../base/runtime.ts'
import { isApiError } from '../api/status.ts'
import { localProvisioner, type VolumeHome } from '../controllers/local-provisioner/controller.ts'
import { LOCAL_PROVISIONER } from '../controllers/local-provisioner/plan.ts'
import { runControllers } from '../controllers/run.ts'
import type { Client, KindName, ObjectOf } from '../client/client.ts'
import type { Host } from '../node/host.ts'
import type { ControlPlane } from './control-plane.ts'
import * as identities from './identities.ts'
import type { Lifecycle } from './lifecycle.ts'

const ACCOUNT = 'local-path-provisioner'
const RBAC = 'rbac.authorization.k8s.io'
const VOLUMES = 'proa.dev/volumes'
/** Whoever the pods run as must be able to write. */
const DIRECTORY_MODE = 0o777

const volumesIn = (nodeDirectory: string): string => `${nodeDirectory}/volumes`

/** What node volumes of this name are kept in. */
export const volumeHome = (host: Pick<Host, 'makeDirectory' | 'removeTree'>, nodeDirectory: string): VolumeHome => ({
  path: (volume) => `${volumesIn(nodeDirectory)}/${volume}`,
  make: (path) => host.makeDirectory(path, DIRECTORY_MODE),
  remove: (path) => host.removeTree(path),
})

/** Where a node on another machine keeps its volumes; an annotation of its Node, which only it and administrators write. */
export const volumesAnnotation = (nodeDirectory: string): Readonly<Record<string, string>> => ({ [VOLUMES]: volumesIn(nodeDirectory) })

/** What such a node does when it is asked by its API. */
export function nodeVolumes(host: Pick<Host, 'makeDirectory' | 'removeTree'>, nodeDirectory: string) {
  const home = volumeHome(host, nodeDirectory)
  return { make: (name: string) => home.make(home.path(name)), remove: (name: string) => home.remove(home.path(name)) }
}

function remoteHome(plane: ControlPlane, nodeName: string): VolumeHome | undefined {
  const directory = plane.informers.of('v1/Node').cache.get(nodeName)?.metadata?.annotations?.[VOLUMES]
  if (directory === undefined) return undefined
  const ask = (method: 'PUT' | 'DELETE') => (path: string) =>
    plane.askNode(nodeName, method, `/proa/volumes/${path.slice(directory.length + 1)}`)
  return { path: (volume) => `${directory}/${volume}`, make: ask('PUT'), remove: ask('DELETE') }
}

/** Resolves when the class is there; what somebody has changed of it stays so, and what was deleted is deleted until the next start. */
export async function startLocalStorage(
  runtime: Runtime,
  lifecycle: Lifecycle,
  plane: ControlPlane,
  homes: ReadonlyMap<string, VolumeHome>,
): Promise<void> {
  await ensureObjects(plane.client(identities.administrator))
  const client = plane.client(identities.serviceAccount('kube-system', ACCOUNT))
  const controller = localProvisioner((nodeName) => homes.get(nodeName) ?? remoteHome(plane, nodeName))
  lifecycle.start({
    name: 'local storage',
    run: (signal) => runControllers(runtime, client, [controller], signal, { informers: plane.informers }),
  })
}

async function ensureObjects(client: Client): Promise<void> {
  await createOnce(client, 'storage.k8s.io/v1/StorageClass', {
    metadata: { name: 'standard', annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
    provisioner: LOCAL_PROVISIONER,
    reclaimPolicy: 'Delete',
    volumeBindingMode: 'WaitForFirstConsumer',
  })
  await createOnce(client, 'rbac.authorization.k8s.io/v1/ClusterRoleBinding', {
    metadata: { name: 'proa-local-path-provisioner' },
    roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: 'system:persistent-volume-provisioner' },
    subjects: [{ kind: 'ServiceAccount', namespace: 'kube-system', name: ACCOUNT }],
  })
}

async function createOnce<K extends KindName>(client: Client, kind: K, object: ObjectOf<K>): Promise<void> {
  try {
    await client.create(kind, object)
  } catch (error) {
    if (!isApiError(error, 'AlreadyExists')) throw error
  }
}
