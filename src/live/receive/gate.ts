import { setTimeout as sleep } from "node:timers/promises";
import { decodeInitPacket, INIT_LENGTH } from "../../codec/multifd/index.js";
import type { ChannelRole } from "../../io/recording/index.js";
import type { AllowedPeers } from "../../io/transport/allowed-peers.js";
import type { Connection, Refused } from "../../io/transport/connection.js";
import { ChannelHold, type Candidate } from "./channel-hold.js";
import { LOOK } from "./checks.js";
import { CPR, identifiedRole, mayTell, startsWith, TLS } from "./first-bytes.js";
import { withoutMemory } from "./live-main.js";
import { MainProof, type Proof } from "./main-proof.js";
import { SECOND_MAIN } from "./foreign.js";
import { isSilent, silence, withFirst } from "./pending.js";
import { brokeOff, reasonOf, saidBy, type Waiting } from "./waiting.js";

/** A connection whose first bytes show that it belongs to a migration, and as which channel. */
export interface Caller {
  readonly connection: Connection;
  readonly role: ChannelRole;
  /** Id of a multifd channel. */
  readonly id: number | undefined;
  readonly uuid: string | undefined;
  /** The bytes read so far, and the rest. */
  readonly head: Uint8Array;
  readonly rest: AsyncIterator<Uint8Array>;
}

/** What the gate needs to know about the migration. */
interface GateFacts {
  /** Whether the main channel has connected. */
  mainIsHere(): boolean;
  /**
   * Whether a silent connection is valid: the migration may switch to postcopy, and the preempt channel is silent
   * before that.
   */
  mayBeSilent(): boolean;
  /** Accept a silent connection as the preempt channel before it sends anything. */
  readonly takesSilent?: boolean;
  /** A migration that broke off in postcopy may go on: another connection takes the main channel's place. */
  readonly takesResumed?: boolean;
}

/** Time limit in milliseconds for a connection to identify itself. */
const LIMIT = 30_000;
/** Maximum number of open unidentified connections, more than a migration has (255 multifd channels). */
const MOST_WAITING = 300;
/** Maximum number of refused connections that are listed; the others are counted. */
const MOST_NOTED = 100;
/** Milliseconds without data after which a connection counts as silent. */
const SILENT = 500;
/** Maximum number of connections that begin like a main channel and have not shown their RAM. */
const MOST_MAINS = 16;
/** Bytes held of one before its RAM begins; a real source sends a few kilobytes. With more it is taken for the source. */
const MOST_HELD = 1 << 18;
/** Milliseconds to wait for a better one where a main channel is damaged before its RAM. */
const GRACE = 2000;
/** Milliseconds of silence after its block list in which a source without a return path may prepare its pages. */
const PREPARES = 5000;

/** Distinguishes the connections of a migration from others, which are closed and reported. */
export class Gate {
  readonly refused: Refused[] = [];
  /** Number of refused connections that are not listed. */
  refusedMore = 0;
  /** Incremented with every connection and byte. */
  seen = 0;
  private readonly waiting = new Set<Waiting>();
  private readonly hold = new ChannelHold();
  private woken: (() => void)[] = [];
  private over = false;
  private accepted = 0;
  /** The source has tried to hand over its memory, and sends none. */
  private cpr = false;

  constructor(
    private readonly facts: GateFacts,
    private readonly onRefused: (refused: Refused) => void,
    private readonly allowed?: AllowedPeers,
  ) {}

  /** Whether data of an unidentified connection has just arrived. */
  get busy(): boolean {
    const now = performance.now();
    return [...this.waiting].some(
      ({ bytes, secured, last, held }) => held || ((bytes > 0 || !secured) && now - last < 2 * SILENT),
    );
  }

  /** The longest of the connections that begin like a main channel and have not shown their RAM. */
  get unproven(): Uint8Array | undefined {
    const mains = [...this.waiting].filter(({ main }) => main !== undefined);
    const longest = mains.toSorted((a, b) => b.bytes - a.bytes)[0]?.main;
    return longest === undefined ? undefined : Buffer.concat(longest);
  }

  /**
   * Identifies a connection by its first bytes. Undefined: it was refused and closed.
   * @param alone no other connection can come, so there is no time limit
   *
   * Errors: unsupported, where the source hands over its memory instead of sending it.
   */
  async admit(connection: Connection, alone = false): Promise<Caller | undefined> {
    if (this.allowed?.allows(connection.address) === false) {
      this.refuse(connection, 0, "its address is not one of --allow");
      return undefined;
    }
    this.makeRoom();
    this.seen++;
    const now = performance.now();
    const waiting: Waiting = {
      connection,
      since: now,
      order: ++this.accepted,
      late: this.hold.late,
      bytes: 0,
      secured: connection.ready === undefined,
      last: now,
      main: undefined,
      why: undefined,
      refused: false,
      held: false,
    };
    this.waiting.add(waiting);
    const timer = setInterval(() => {
      if (alone || (waiting.bytes === 0 && waiting.secured && this.facts.mayBeSilent())) return;
      const what = saidBy(waiting);
      this.refuseWaiting(
        waiting,
        this.facts.mainIsHere() ? `it said ${what}` : `it said ${what}, and no main channel came`,
      );
    }, LIMIT);
    try {
      const caller = await this.identify(waiting, alone);
      if (caller !== undefined) return caller;
      this.refuseWaiting(waiting, "it closed before it was identified");
      return undefined;
    } finally {
      clearInterval(timer);
      this.waiting.delete(waiting);
    }
  }

  /** Closes and reports a connection. */
  refuse(connection: Connection, bytes: number, why: string): void {
    connection.destroy();
    const refused = { from: connection.peer, receivedBytes: bytes, why };
    if (this.refused.length < MOST_NOTED) this.refused.push(refused);
    else this.refusedMore++;
    this.onRefused(refused);
  }

  /** Call this when the main channel has connected. */
  wake(): void {
    if (this.facts.mainIsHere()) {
      for (const waiting of this.waiting) if (waiting.main !== undefined) this.refuseWaiting(waiting, SECOND_MAIN);
    }
    this.wakeAll();
  }

  /** Refuses all waiting connections: the migration is over. */
  close(): void {
    this.over = true;
    for (const waiting of this.waiting)
      this.refuseWaiting(waiting, "it was not identified before the end of the migration");
    this.wakeAll();
  }

  private async identify(waiting: Waiting, alone: boolean): Promise<Caller | undefined> {
    const { connection } = waiting;
    if (!(await this.secure(waiting))) return undefined;
    const rest = (connection.input as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
    let head: Uint8Array = new Uint8Array(0);
    let role: ChannelRole | undefined;
    let next = rest.next();
    if (this.facts.takesSilent === true && (await isSilent(next, SILENT)) && waiting.why === undefined) {
      if (this.facts.mainIsHere() && this.facts.mayBeSilent()) {
        const whole = { next: withFirst(next, rest) };
        return { connection, role: "preempt", id: undefined, uuid: undefined, head, rest: whole };
      }
    }
    try {
      for (;;) {
        const { done, value } = await next;
        if (done === true) break;
        head = head.length === 0 ? value : Buffer.concat([head, value]);
        this.note(waiting, value);
        role = identifiedRole(head);
        if (role !== undefined) break;
        if (!mayTell(head)) {
          waiting.why ??= this.stranger(head, connection);
          return undefined;
        }
        next = rest.next();
      }
    } catch (error) {
      waiting.why ??= brokeOff(error);
      return undefined;
    }
    if (role === undefined) return undefined;
    if (role === "return-path" || (role === "resumed" && this.facts.takesResumed !== true)) {
      waiting.why ??=
        role === "resumed"
          ? "it resumes a migration that broke off in postcopy: only its destination, or qevm relay, can take it"
          : "it begins with return path messages";
      return undefined;
    }
    if (role === "resumed") {
      if (this.facts.mainIsHere()) waiting.why ??= SECOND_MAIN;
      return waiting.why === undefined ? { connection, role, id: undefined, uuid: undefined, head, rest } : undefined;
    }
    if (role === "main" && this.cpr) throw withoutMemory("cpr-transfer");
    if (role === "main" && !alone) return await this.prove(waiting, head, rest);
    const early = (): boolean => role !== "main" && !this.facts.mainIsHere() && waiting.why === undefined;
    while (early()) {
      await new Promise<void>((resolve) => {
        this.woken.push(resolve);
      });
    }
    if (waiting.why !== undefined) return undefined;
    if (role === "multifd") return await this.multifd(waiting, head, rest);
    return { connection, role, id: undefined, uuid: undefined, head, rest };
  }

  /** What a connection is that begins like no channel. */
  private stranger(head: Uint8Array, { peer }: Connection): string {
    if (startsWith(head, CPR)) {
      // Over TCP it has no descriptors, and is a stranger's.
      this.cpr ||= peer.startsWith("unix:");
      return "it is the CPR channel of mode cpr-transfer, whose file descriptors are not passed on";
    }
    const tls = startsWith(head, TLS) ? ", but as TLS, for which this side has no credentials" : "";
    return `it does not begin as a channel of a migration does${tls}`;
  }

  /** Waits until it is known whether a multifd channel is of this migration. */
  private async multifd(
    waiting: Waiting,
    head: Uint8Array,
    rest: AsyncIterator<Uint8Array>,
  ): Promise<Caller | undefined> {
    const init = decodeInitPacket(head.subarray(0, INIT_LENGTH), 0, []);
    const uuid = Buffer.from(init.uuid).toString("hex");
    const closed = (): boolean => waiting.why !== undefined;
    const candidate: Candidate = {
      uuid,
      id: init.channel,
      order: waiting.order,
      late: waiting.late,
      head,
      rest,
      closed,
    };
    waiting.held = true;
    try {
      waiting.why ??= await this.hold.decide(candidate, (chunk) => this.note(waiting, chunk));
    } catch (error) {
      waiting.why ??= brokeOff(error);
    } finally {
      waiting.held = false;
    }
    if (waiting.why !== undefined) return undefined;
    const { connection } = waiting;
    return { connection, role: "multifd", id: init.channel, uuid, head: candidate.head, rest: candidate.rest };
  }

  /** Does the TLS handshake, if there is one. False: the connection is refused. */
  private async secure(waiting: Waiting): Promise<boolean> {
    try {
      await waiting.connection.ready?.();
    } catch (error) {
      waiting.why ??= reasonOf(error, waiting.connection.peer);
    }
    if (waiting.why !== undefined) return false;
    waiting.secured = true;
    waiting.last = performance.now();
    this.seen++;
    return true;
  }

  /**
   * Waits until the first page of a main channel, or what follows its setup. Anybody can send a header, so that decides
   * nothing. A source that waits for a reply is silent after its block list. So is one whose multifd channels are not
   * read yet: 10.0 leaves the end of the setup in its buffer and sends pages into the channels.
   */
  private async prove(
    waiting: Waiting,
    head: Uint8Array,
    rest: AsyncIterator<Uint8Array>,
  ): Promise<Caller | undefined> {
    const { connection } = waiting;
    if (this.facts.mainIsHere()) {
      waiting.why ??= SECOND_MAIN;
      return undefined;
    }
    const proof = new MainProof();
    this.makeRoomForMain();
    const held = (waiting.main = [head]);
    let verdict: Proof | "long" | "quiet" | undefined;
    let next: Promise<IteratorResult<Uint8Array>> | undefined;
    try {
      await proof.feed(head);
      while (verdict === undefined && waiting.why === undefined) {
        next ??= rest.next();
        const quiet = proof.listed ? [silence(proof.returnPath ? SILENT : PREPARES)] : [];
        const listed = proof.listed ? quiet.map(({ over }) => over) : [proof.whenListed];
        const came = await Promise.race([proof.decided, next, ...listed]);
        for (const { stop } of quiet) stop();
        if (came === undefined) continue;
        if (typeof came === "string") {
          verdict = came;
          break;
        }
        next = undefined;
        if (came.done === true) {
          proof.end();
          verdict = await proof.decided;
          break;
        }
        held.push(came.value);
        this.note(waiting, came.value);
        if (waiting.bytes > MOST_HELD) verdict = "long";
        else await proof.feed(came.value);
      }
    } catch (error) {
      waiting.why ??= brokeOff(error);
    } finally {
      proof.end();
    }
    if (verdict === "damaged" && (proof.returnPath || proof.listed)) await this.better(waiting);
    else if (verdict === "damaged" || verdict === "ended") {
      const how = verdict === "ended" ? "ended before its RAM" : "is damaged";
      waiting.why ??= `it begins like a main channel, but ${how}`;
    }
    if (this.facts.mainIsHere()) waiting.why ??= SECOND_MAIN;
    if (waiting.why !== undefined) return undefined;
    const whole = next === undefined ? rest : { next: withFirst(next, rest) };
    this.hold.begin(proof.ram, waiting.order);
    return { connection, role: "main", id: undefined, uuid: undefined, head: Buffer.concat(held), rest: whole };
  }

  /** Waits until another main channel is here, or for a while. */
  private async better(waiting: Waiting): Promise<void> {
    const start = performance.now();
    while (!this.facts.mainIsHere() && waiting.why === undefined && performance.now() - start < GRACE) {
      await sleep(LOOK);
    }
  }

  private wakeAll(): void {
    for (const wake of this.woken.splice(0)) wake();
  }

  private note(waiting: Waiting, chunk: Uint8Array): void {
    waiting.bytes += chunk.length;
    waiting.last = performance.now();
    this.seen += chunk.length;
  }

  private refuseWaiting(waiting: Waiting, why: string): void {
    waiting.why ??= why;
    if (!waiting.refused) this.refuse(waiting.connection, waiting.bytes, waiting.why);
    waiting.refused = true;
    if (!this.over) this.wakeAll();
  }

  private makeRoomForMain(): void {
    const mains = [...this.waiting].filter(({ main, why }) => main !== undefined && why === undefined);
    const [idlest] = mains.toSorted((a, b) => a.last - b.last);
    if (mains.length < MOST_MAINS || idlest === undefined) return;
    this.refuseWaiting(idlest, `more than ${MOST_MAINS} connections begin like a main channel`);
  }

  /** Open connections of others must not keep the source out: closes the oldest silent one. */
  private makeRoom(): void {
    if (this.waiting.size < MOST_WAITING) return;
    const now = performance.now();
    const all = [...this.waiting].filter(({ why }) => why === undefined);
    const isOld = ({ since }: Waiting): boolean => now - since > SILENT;
    const oldest =
      all.find((one) => !one.secured && isOld(one)) ?? all.find((one) => one.bytes === 0 && isOld(one)) ?? all[0];
    if (oldest !== undefined) this.refuseWaiting(oldest, `more than ${MOST_WAITING} connections were not identified`);
  }
}
