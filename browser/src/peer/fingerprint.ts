/** Certificates: by them a peer is known to be the one that the server vouches for. */

const LINE = /^a=fingerprint:(\S+) +(\S+?)\r?$/gim;

/** A certificate's fingerprint as the server writes it. */
const normal = (kind: string, value: string) => `${kind.toLowerCase()} ${value.toUpperCase()}`;

/** The fingerprint in a session description; undefined unless there is exactly one. */
export function fingerprintOf(sdp: string): string | undefined {
  const found = new Set(Array.from(sdp.matchAll(LINE), ([, kind, value]) => normal(kind!, value!)));
  return found.size === 1 ? [...found][0] : undefined;
}

/**
 * Whether the certificate at the other end of a connection has a fingerprint.
 *
 * The browser itself lets only a certificate through that is in the session description; it is asked
 * all the same which one that was.
 */
export async function hasFingerprint(connection: RTCPeerConnection, fingerprint: string): Promise<boolean> {
  if (fingerprintOf(connection.remoteDescription?.sdp ?? "") !== fingerprint) return false;
  const stats: ReadonlyMap<string, any> = (await connection.getStats()) as any;
  for (const { type, remoteCertificateId } of stats.values()) {
    const certificate = type === "transport" && stats.get(remoteCertificateId);
    if (!certificate?.fingerprintAlgorithm) continue;
    const seen = normal(certificate.fingerprintAlgorithm, certificate.fingerprint);
    // A hash of another kind cannot be compared.
    if (seen.split(" ")[0] === fingerprint.split(" ")[0]) return seen === fingerprint;
  }
  return true;
}

const GROUPS = 8;
const DIGITS = 5;

/**
 * Forty digits that are the same at both ends, unless somebody stands between them.
 *
 * Whoever stands there could try many certificates until a short number is right for both ends. So
 * it is long: trying would take 2^66 of them.
 */
export async function codeOf(one: string, other: string): Promise<string> {
  const { subtle } = globalThis.crypto;
  if (!subtle) throw new Error("the code of a peer needs a page from https, or from localhost");
  const text = new TextEncoder().encode([one, other].sort().join("|"));
  const bytes = new Uint8Array(await subtle.digest("SHA-512", text));
  const groups: string[] = [];
  for (let at = 0; groups.length < GROUPS; at += 5) {
    const number = bytes.subarray(at, at + 5).reduce((sum, byte) => sum * 256 + byte, 0);
    groups.push(String(number % 10 ** DIGITS).padStart(DIGITS, "0"));
  }
  return groups.join(" ");
}
