/**
 * Keeps the Node's status in step with what device plugins offer. Which resources they ever offered outlives the agent: until a plugin is
 * back its resource counts 0, and no pod that asks for it is started without.
 */
import type { NodeContext } from '../node-context.ts'
import type { DeviceCount } from './device-manager.ts'

interface Told {
  setDevices(counts: Readonly<Record<string, DeviceCount>>): void
}

export async function followPlugins(node: NodeContext, registration: Told, directory: string, signal: AbortSignal): Promise<void> {
  const { devices, host, dataDirectory } = node
  const log = node.runtime.log.with({ component: 'device plugins' })
  const file = `${dataDirectory}/device-resources.json`
  const known = (await host.readNodeFile(file)) ?? '[]'
  let written = known
  devices.remember(JSON.parse(known) as string[])
  const tell = (): void => {
    const counts = devices.counts()
    registration.setDevices(counts)
    const names = JSON.stringify(Object.keys(counts).toSorted())
    if (names === written) return
    written = names
    host.writeFile(file, names, 0o600).catch((error: unknown) => log.warn('cannot remember the resources', { file, error: String(error) }))
  }
  devices.onChange(tell)
  tell()
  await host.servePlugins?.(directory, devices, log, signal)
}
