/** Reads the extenders of a configuration. */
import type { ExtenderConfig, ExtenderTls } from '../extender-config.ts'
import type { Fields } from './fields.ts'

/** Upstream DefaultExtenderTimeout. */
const TIMEOUT_MS = 5_000

function readTls(fields: Fields | undefined): ExtenderTls | undefined {
  if (!fields) return undefined
  const tls: ExtenderTls = {
    insecure: fields.flag('insecure') ?? false,
    serverName: fields.text('serverName'),
    certFile: fields.text('certFile'),
    keyFile: fields.text('keyFile'),
    caFile: fields.text('caFile'),
    certData: fields.text('certData'),
    keyData: fields.text('keyData'),
    caData: fields.text('caData'),
  }
  fields.done()
  return tls
}

function readExtender(fields: Fields): ExtenderConfig {
  const extender: ExtenderConfig = {
    urlPrefix: fields.text('urlPrefix') ?? '',
    filterVerb: fields.text('filterVerb') ?? '',
    prioritizeVerb: fields.text('prioritizeVerb') ?? '',
    preemptVerb: fields.text('preemptVerb') ?? '',
    bindVerb: fields.text('bindVerb') ?? '',
    weight: fields.integer('weight') ?? 0,
    isHttps: fields.flag('enableHTTPS') ?? false,
    tls: readTls(fields.object('tlsConfig')),
    timeoutMs: fields.durationMs('httpTimeout') || TIMEOUT_MS,
    isNodeCacheCapable: fields.flag('nodeCacheCapable') ?? false,
    managedResources: fields.objects('managedResources').map((element) => {
      const name = element.text('name') ?? ''
      const isIgnoredByScheduler = element.flag('ignoredByScheduler') ?? false
      if (!name.includes('/') || name.includes('kubernetes.io/')) element.invalid('name', 'is an invalid extended resource name')
      element.done()
      return { name, isIgnoredByScheduler }
    }),
    isIgnorable: fields.flag('ignorable') ?? false,
  }
  if (!URL.canParse(extender.urlPrefix)) fields.invalid('urlPrefix', 'must be a URL')
  if (extender.prioritizeVerb && extender.weight <= 0) fields.invalid('weight', 'must have a positive weight applied to it')
  fields.done()
  return extender
}

export function readExtenders(fields: Fields): readonly ExtenderConfig[] {
  const extenders = fields.objects('extenders').map(readExtender)
  const binders = extenders.filter(({ bindVerb }) => bindVerb)
  if (binders.length > 1)
    fields.error('extenders', `found ${binders.length} extenders implementing bind: only one extender can implement bind`)
  const names = extenders.flatMap(({ managedResources }) => managedResources.map(({ name }) => name))
  for (const [i, name] of names.entries())
    if (names.indexOf(name) < i) fields.error('extenders', `Invalid value: "${name}": duplicate extender managed resource name`)
  return extenders
}
