/**
 * What a node with real containers is told beyond upstream's defaults: a KubeletConfiguration in its directory (`kubelet.yaml`), by whoever
 * runs the cluster. The machine is somebody's, and full disks are not the cluster's business: as with kind, images and pods do not go
 * for it unless the file says so.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseYamlDocuments } from '../api/yaml.ts'
import { DEFAULT_EVICTION_HARD, nodeConfiguration, type KubeletConfiguration, type NodeConfiguration } from '../node/configuration.ts'
import { parseProviders, type CredentialPluginsOptions } from '../node/credential-plugins.ts'
import { UserError } from './user-error.ts'

const SHARED_MACHINE: KubeletConfiguration = {
  imageGCHighThresholdPercent: 100,
  evictionHard: {
    ...DEFAULT_EVICTION_HARD,
    'nodefs.available': '0%',
    'nodefs.inodesFree': '0%',
    'imagefs.available': '0%',
    'imagefs.inodesFree': '0%',
  },
}

const FILE = 'kubelet.yaml'
/** Of static pods. */
const MANIFESTS = 'manifests'
const KIND = { kind: 'KubeletConfiguration', apiVersion: 'kubelet.config.k8s.io/v1beta1' }

export function readNodeConfiguration(directory: string): NodeConfiguration {
  const path = join(directory, FILE)
  const defaults = { ...SHARED_MACHINE, staticPodPath: join(directory, MANIFESTS) }
  if (!existsSync(path)) return nodeConfiguration(defaults)
  try {
    const [document = {}, ...more] = parseYamlDocuments(readFileSync(path, 'utf8')) as readonly Record<string, unknown>[]
    const { kind, apiVersion, ...given } = document
    if (more.length > 0 || kind !== KIND.kind || apiVersion !== KIND.apiVersion)
      throw new Error(`it holds one ${KIND.kind} of ${KIND.apiVersion}`)
    return nodeConfiguration({ ...defaults, ...given })
  } catch (error) {
    throw new UserError(`${path}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** Programs that know the credentials of registries: `credential-providers.yaml` and the directory of that name. */
export function readCredentialPlugins(directory: string): CredentialPluginsOptions | undefined {
  const path = join(directory, 'credential-providers.yaml')
  if (!existsSync(path)) return undefined
  const configuration = readFileSync(path, 'utf8')
  try {
    parseProviders(configuration)
  } catch (error) {
    throw new UserError(`${path}: ${error instanceof Error ? error.message : String(error)}`)
  }
  return { configuration, binDirectory: join(directory, 'credential-providers') }
}
