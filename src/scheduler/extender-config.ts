/** What a configuration says about an extender (kubescheduler.config.k8s.io/v1 Extender). */
export interface ExtenderTls {
  readonly insecure: boolean
  readonly serverName?: string | undefined
  /** Files, read by the one who connects. */
  readonly certFile?: string | undefined
  readonly keyFile?: string | undefined
  readonly caFile?: string | undefined
  /** Base64 of PEM. */
  readonly certData?: string | undefined
  readonly keyData?: string | undefined
  readonly caData?: string | undefined
}

export interface ExtenderConfig {
  readonly urlPrefix: string
  /** Each verb that is empty is not asked. */
  readonly filterVerb: string
  readonly prioritizeVerb: string
  readonly preemptVerb: string
  readonly bindVerb: string
  readonly weight: number
  readonly isHttps: boolean
  readonly tls: ExtenderTls | undefined
  readonly timeoutMs: number
  /** It knows the nodes: names are enough. */
  readonly isNodeCacheCapable: boolean
  /** Asked only about pods that want one of these; all pods when there are none. */
  readonly managedResources: readonly { readonly name: string; readonly isIgnoredByScheduler: boolean }[]
  /** Its failing does not fail the pod. */
  readonly isIgnorable: boolean
}
