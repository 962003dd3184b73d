/**
 * What an agent is told at its start: a file that the server writes for nodes on its machine. It names files with credentials and
 * holds none itself.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { LogLevel } from '../base/log.ts'
import type { NodeLayout } from './node-layout.ts'
import type { ClusterFacts } from './real-node.ts'
import { UserError } from './user-error.ts'

export interface AgentConfig {
  /** Of the program that wrote it: another version replaces a running agent. */
  readonly version: string
  readonly layout: NodeLayout
  readonly cluster: ClusterFacts
  readonly logLevel: LogLevel
  /** How the node calls the API, as system:node:NAME. */
  readonly kubeconfig: string
  /** The same as system:kube-proxy, for what nodes may not read. */
  readonly proxyKubeconfig: string
  /** As which it does so: certificate and key in one file, which the agent renews. */
  readonly nodeClientPem: string
  /** Of the proxy; the server renews it. */
  readonly proxyPem: string
  /** The same of the node's own API, and the authority of its clients. */
  readonly kubeletPem: string
  readonly clientCa: string
}

export interface AgentFiles {
  readonly config: string
  readonly kubeconfig: string
  readonly proxyKubeconfig: string
  readonly nodeClientPem: string
  readonly proxyPem: string
  readonly kubeletPem: string
  readonly clientCa: string
  readonly log: string
}

export const agentFiles = (directory: string): AgentFiles => ({
  config: join(directory, 'agent.json'),
  kubeconfig: join(directory, 'kubelet.kubeconfig'),
  proxyKubeconfig: join(directory, 'kube-proxy.kubeconfig'),
  nodeClientPem: join(directory, 'kubelet-client.pem'),
  proxyPem: join(directory, 'kube-proxy.pem'),
  kubeletPem: join(directory, 'kubelet-server.pem'),
  clientCa: join(directory, 'ca.crt'),
  log: join(directory, 'agent.log'),
})

export function readAgentConfig(path: string): AgentConfig {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as AgentConfig
  } catch (error) {
    throw new UserError(`${path} does not describe an agent: ${(error as Error).message}`)
  }
}
