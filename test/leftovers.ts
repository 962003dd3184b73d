/** What a cluster of this id could leave on the machine: mounts, cgroups, processes, links, network namespaces, rules. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'

export function leftovers(id: string, dataDir: string): readonly string[] {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n')
  // Other clusters' cgroups come and go while find looks, which it counts as failure.
  const cgroups = spawnSync('find', ['/sys/fs/cgroup', '-name', `*${id}*`], { encoding: 'utf8' })
    .stdout.split('\n')
    .filter(Boolean)
  const processes = readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return false
    const path = `/proc/${pid}/cmdline`
    return existsSync(path) && readFileSync(path, 'utf8').includes(dataDir)
  })
  const named = (program: string, ...args: string[]) =>
    execFileSync(program, args, { encoding: 'utf8' })
      .split('\n')
      .filter((line) => line.includes(id))
  return [
    ...mounts.filter((line) => line.includes(dataDir) || line.includes(id)),
    ...cgroups,
    ...processes,
    ...named('ip', '-o', 'link'),
    ...named('ip', 'netns'),
    ...named('nft', 'list', 'tables'),
  ]
}
