/**
 * A real sshd for the transport tests: Debian's openssh-server out of the root tree of the lab, in mount and process namespaces of its own, with
 * its own host keys and users, on a loopback port. The tree is the lower layer of an overlay whose upper layer is a tmpfs inside the namespace:
 * the tree is not changed, and nothing stays when the namespace ends.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'

export interface TestUser {
  name: string
  /** Login shell inside the tree, e.g. `/bin/bash`. */
  shell?: string
  /** May run everything by sudo: `free` without a password, `asks` only with one. */
  sudo?: 'free' | 'asks'
  /** Content of ~/.bashrc and ~/.profile. */
  rc?: string
}

export interface TestSshdOptions {
  users?: TestUser[]
  /** Lines at the top of sshd_config. */
  sshdConfig?: string[]
  /** Shell commands run as root inside the tree before sshd starts. */
  prepare?: string[]
  /** Address and port to listen on; default a free port on 127.0.0.1. */
  listen?: { address: string; port: number }
  /** A network namespace (of `ip netns`) to run in. */
  netns?: string
}

export interface TestSshd {
  host: string
  port: number
  /** Private key that may log in as root and as every user. */
  keyPath: string
  /** Folder for the files of one test; removed by `stop`. */
  folder: string
  /** Public host keys by type, as `TYPE BASE64`. */
  hostKeys: Record<string, string>
  /** Writes known_hosts with all host keys (or these lines) and returns its path. */
  knownHosts(lines?: string[], name?: string): string
  /** Writes an ssh_config with one block a host and returns its path. */
  sshConfig(blocks: Record<string, string[]>, name?: string): string
  /** Runs a program as root inside the tree and returns its stdout; with `ok: false` an exit code is no error. */
  exec(argv: string[], o?: { ok?: boolean; input?: string }): string
  /** Kills sshd and all its sessions, and starts it again on the same port. */
  restart(): Promise<void>
  /** Everything that sshd wrote to its log. */
  log(): string
  stop(): Promise<void>
}

/** The root tree: the one named by NIGHTSHIFT_LAB_TREE, else the newest of the lab's cache, else the development tree. */
export function labTree(): string {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'nightshift')
  const trees = (() => {
    try {
      return readdirSync(join(cache, 'lab-tree')).map((name) => join(cache, 'lab-tree', name))
    } catch {
      return []
    }
  })()
  const newestFirst = trees.map((path) => ({ path, changed: statSync(path).mtimeMs })).sort((a, b) => b.changed - a.changed)
  const candidates = [process.env.NIGHTSHIFT_LAB_TREE, ...newestFirst.map(({ path }) => path), join(cache, 'dev-tree')]
  for (const path of candidates) {
    for (const root of path === undefined ? [] : [path, join(path, 'root'), join(path, 'tree')]) {
      if (statSync(join(root, 'usr/sbin/sshd'), { throwIfNoEntry: false })?.isFile()) return root
    }
  }
  throw new Error(`no root tree with sshd under ${cache}: run \`npm test\`, which builds it`)
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

export async function startSshd(options: TestSshdOptions = {}): Promise<TestSshd> {
  const folder = mkdtempSync(join(tmpdir(), 'nightshift-sshd-'))
  const keyPath = join(folder, 'id_ed25519')
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'test', '-f', keyPath])
  const address = options.listen?.address ?? '127.0.0.1'
  const port = options.listen?.port ?? (await freePort())
  mkdirSync(join(folder, 'root'))
  const hostKeys: Record<string, string> = {}
  for (const type of ['ed25519', 'ecdsa', 'rsa']) {
    const path = join(folder, `ssh_host_${type}_key`)
    execFileSync('ssh-keygen', ['-q', '-t', type, ...(type === 'rsa' ? ['-b', '2048'] : []), '-N', '', '-C', '', '-f', path])
    const [keyType = '', base64 = ''] = readFileSync(`${path}.pub`, 'utf8').split(' ')
    hostKeys[keyType] = `${keyType} ${base64.trim()}`
  }
  writeFileSync(
    join(folder, 'sshd_config'),
    [
      ...(options.sshdConfig ?? []),
      ...['ed25519', 'ecdsa', 'rsa'].map((type) => `HostKey /etc/ssh/test/ssh_host_${type}_key`),
      `ListenAddress ${address}:${port}`,
      'PermitRootLogin prohibit-password',
      'PasswordAuthentication no',
      'UsePAM no',
      'PidFile none',
      'LogLevel VERBOSE',
      '',
    ].join('\n'),
  )
  let log = ''
  const collect = (chunk: Buffer): void => {
    log += chunk.toString('utf8')
  }
  const start = async (): Promise<ChildProcess> => {
    const inNetns = options.netns === undefined ? [] : ['ip', 'netns', 'exec', options.netns]
    // `setpriv --pdeathsig`: the namespace ends also when the test program is killed.
    const [program = '', ...args] = [
      ...['setpriv', '--pdeathsig', 'KILL'],
      ...inNetns,
      'unshare',
      '--mount',
      '--pid',
      '--fork',
      '--kill-child=KILL',
      '/bin/sh',
      '-eu',
      '-c',
      setupScript(options),
      'sh',
      labTree(),
      folder,
    ]
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    await listening(child, () => log)
    return child
  }
  let child = await start()
  const namespacePid = (): number => {
    // `unshare --fork` is the parent of the first process of the namespace (with `ip netns exec` it is the same process, by exec).
    const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ')
    return Number(children[0])
  }
  return {
    host: address,
    port,
    keyPath,
    folder,
    hostKeys,
    knownHosts(lines, name = 'known_hosts') {
      const path = join(folder, name)
      const all = lines ?? Object.values(hostKeys).map((key) => `${port === 22 ? address : `[${address}]:${port}`} ${key}`)
      writeFileSync(path, `${all.join('\n')}\n`)
      return path
    },
    sshConfig(blocks, name = 'ssh_config') {
      const path = join(folder, name)
      writeFileSync(
        path,
        Object.entries(blocks)
          .map(([host, lines]) => `Host ${host}\n${lines.map((line) => `  ${line}\n`).join('')}`)
          .join('\n'),
      )
      return path
    },
    exec(argv, o) {
      try {
        return execFileSync('nsenter', ['-t', String(namespacePid()), '-m', '-p', 'chroot', join(folder, 'root'), ...argv], {
          input: o?.input ?? '',
          stdio: ['pipe', 'pipe', 'pipe'],
          maxBuffer: 64 * 1024 * 1024,
          env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
        }).toString('utf8')
      } catch (error) {
        if (o?.ok === false) return (error as { stdout?: Buffer }).stdout?.toString('utf8') ?? ''
        throw error
      }
    },
    async restart() {
      await ended(child)
      child = await start()
    },
    log: () => log,
    async stop() {
      await ended(child)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function setupScript(options: TestSshdOptions): string {
  const users = options.users ?? []
  return [
    'tree=$1 folder=$2',
    'mount --make-rprivate /',
    'mount -t tmpfs -o mode=755 tmpfs "$folder/root"',
    'mkdir "$folder/root/upper" "$folder/root/work" "$folder/root/merged"',
    'mount -t overlay overlay -o "lowerdir=$tree,upperdir=$folder/root/upper,workdir=$folder/root/work" "$folder/root/merged"',
    'mount --move "$folder/root/merged" "$folder/root"',
    'cd "$folder/root"',
    'mount -t proc proc proc',
    'mount --rbind /dev dev',
    'mount -t tmpfs -o mode=755 tmpfs run',
    'mount -t tmpfs -o mode=1777 tmpfs tmp',
    'mkdir -p run/sshd etc/ssh/test root/.ssh',
    'cp "$folder"/ssh_host_*_key "$folder/sshd_config" etc/ssh/test/',
    'chmod 600 etc/ssh/test/ssh_host_*_key',
    'cp "$folder/id_ed25519.pub" root/.ssh/authorized_keys',
    'chmod 700 root root/.ssh; chmod 600 root/.ssh/authorized_keys; chown -R 0:0 root etc/ssh/test',
    ...users.flatMap((user) => [
      `chroot . useradd -m -p '*' -s ${user.shell ?? '/bin/bash'} ${user.name}`,
      `mkdir -p home/${user.name}/.ssh; cp "$folder/id_ed25519.pub" home/${user.name}/.ssh/authorized_keys`,
      `: > home/${user.name}/.hushlogin`,
      ...(user.rc === undefined ? [] : [`cat > home/${user.name}/.bashrc <<'RC'\n${user.rc}\nRC`, `cp home/${user.name}/.bashrc home/${user.name}/.profile`]),
      `chroot . chown -R ${user.name}: /home/${user.name}; chmod 700 home/${user.name}/.ssh`,
      ...(user.sudo === undefined
        ? []
        : [`echo '${user.name} ALL=(ALL) ${user.sudo === 'free' ? 'NOPASSWD: ' : ''}ALL' > etc/sudoers.d/${user.name}; chmod 440 etc/sudoers.d/${user.name}`]),
    ]),
    ...(options.prepare ?? []).map((command) => `chroot . /bin/sh -euc '${command.replaceAll("'", "'\\''")}'`),
    'exec chroot . /usr/sbin/sshd -D -e -f /etc/ssh/test/sshd_config',
  ].join('\n')
}

/** Waits until sshd says in its log that it listens; an early end is an error with what it printed. */
async function listening(child: ChildProcess, log: () => string): Promise<void> {
  const before = log().length
  await new Promise<void>((resolve, reject) => {
    const check = (): void => {
      if (/Server listening on/.test(log().slice(before))) done(resolve)
    }
    const died = (): void => done(() => reject(new Error(`sshd did not start:\n${log().slice(before)}`)))
    const done = (then: () => void): void => {
      child.stderr?.off('data', check)
      child.off('exit', died)
      then()
    }
    child.stderr?.on('data', check)
    child.on('exit', died)
  })
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()))
  child.kill('SIGKILL')
  await exited
}
