/** Small objects that scenarios send. */
import type { KubeObject } from '../../src/api/object.ts'

export const configMap = (name: string, more: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  ...more,
})

export const labelled = (name: string, labels: Readonly<Record<string, string>>): KubeObject =>
  configMap(name, { metadata: { name, labels } })

export const pod = (name: string, spec: object = {}, metadata: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, ...metadata },
  spec: { containers: [{ name: 'main', image: 'example.test/main:1' }], ...spec },
})

const template = (labels: object = { app: 'a' }) => ({
  metadata: { labels },
  spec: { containers: [{ name: 'main', image: 'example.test/main:1' }] },
})

export const deployment = (name: string, spec: object = {}): KubeObject => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name },
  spec: { selector: { matchLabels: { app: 'a' } }, template: template(), ...spec },
})
