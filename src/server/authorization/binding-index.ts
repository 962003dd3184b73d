/** Which bindings name a subject in a namespace: follows the cache of bindings change by change. */
import type { ClusterRoleBinding, RoleBinding, RoleRef, Subject } from '../../api/generated/rbac/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import type { ResourceCache } from '../watch-cache.ts'

export const RBAC_GROUP = 'rbac.authorization.k8s.io'

export interface Grant {
  readonly roleRef: RoleRef
  /** As reasons tell it: `RoleBinding "b/ns" of Role "r" to User "alice"`. */
  readonly text: string
  readonly binding: KubeObject
}

const NONE: readonly Grant[] = []

export class BindingIndex {
  /** Namespace, "/" and the subject: "User:alice", "Group:devs", "ServiceAccount:ns:name". */
  readonly #grants = new Map<string, readonly Grant[]>()
  readonly #cache: ResourceCache

  constructor(cache: ResourceCache) {
    this.#cache = cache
    cache.observe((change) => {
      if (!change) return this.#readAnew()
      if (change.previous) this.#remove(change.previous.object)
      if (change.current) this.#add(change.current.object)
    })
    this.#readAnew()
  }

  /** `namespace` is "" for ClusterRoleBindings. */
  of(namespace: string, subject: string): readonly Grant[] {
    return this.#grants.get(`${namespace}/${subject}`) ?? NONE
  }

  #readAnew(): void {
    this.#grants.clear()
    this.#cache.walk('', undefined, (item) => this.#add(item.object))
  }

  #add(object: KubeObject): void {
    const binding = object as RoleBinding | ClusterRoleBinding
    const { name, namespace = '' } = binding.metadata ?? {}
    const { roleRef } = binding
    const shown = namespace === '' ? `ClusterRoleBinding ${JSON.stringify(name)}` : `RoleBinding ${JSON.stringify(`${name}/${namespace}`)}`
    for (const subject of binding.subjects ?? []) {
      const key = keyOf(subject, namespace)
      const text = `${shown} of ${roleRef.kind} ${JSON.stringify(roleRef.name)} to ${shownSubject(subject, namespace)}`
      this.#grants.set(key, [...(this.#grants.get(key) ?? NONE), { roleRef, text, binding: object }])
    }
  }

  #remove(object: KubeObject): void {
    const { metadata, subjects = [] } = object as RoleBinding
    for (const subject of subjects) {
      const key = keyOf(subject, metadata?.namespace ?? '')
      const left = this.#grants.get(key)?.filter(({ binding }) => binding !== object) ?? NONE
      if (left.length === 0) this.#grants.delete(key)
      else this.#grants.set(key, left)
    }
  }
}

/** An account without a namespace is one of the binding's own. */
const keyOf = ({ kind, name, namespace }: Subject, own: string): string =>
  kind === 'ServiceAccount' ? `${own}/ServiceAccount:${namespace || own}:${name}` : `${own}/${kind}:${name}`

const shownSubject = ({ kind, name, namespace }: Subject, own: string): string =>
  kind === 'ServiceAccount' ? `ServiceAccount ${JSON.stringify(`${name}/${namespace || own}`)}` : `${kind} ${JSON.stringify(name)}`
