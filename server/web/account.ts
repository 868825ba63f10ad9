import { ProblemError, type ResultOf, Unseam } from '../../client/index.js';
import { byId } from './by-id.js';

export type Session = ResultOf<'get /v1/session'>;

/**
 * Who uses the page. It signs in with a token, which goes to the server once and comes back as a cookie that no script
 * reads and that ends with the browser: the page stores nothing, and no address has it.
 */
export class Account {
  #enter: (session: Session) => void = () => undefined;
  #hasEntered = false;

  /** Requests, after which a caller who is not known any more is asked for a token. */
  readonly fetch: typeof fetch = async (input, init) => {
    const response = await fetch(input, init);
    if (response.status === 401) this.#ask();
    return response;
  };

  constructor(private readonly unseam = new Unseam()) {
    byId('sign-in').addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#signIn();
    });
    byId('sign-out').addEventListener('click', () => void this.#signOut());
  }

  /** Resolves with the session, once there is one. */
  async open(): Promise<Session> {
    const entered = new Promise<Session>((resolve) => (this.#enter = resolve));
    try {
      this.#show(await this.unseam.session());
    } catch (error) {
      if (!(error instanceof ProblemError) || error.status !== 401) throw error;
      this.#ask();
    }
    return entered;
  }

  #show(session: Session): void {
    this.#hasEntered = true;
    byId('sign-in').hidden = true;
    byId('main').hidden = false;
    byId('account').hidden = !session.needsToken;
    byId('who').textContent = session.name;
    byId('send').hidden = !session.scopes.some((scope) => scope === 'segment' || scope === 'admin');
    this.#enter(session);
  }

  #ask(): void {
    if (!byId('sign-in').hidden) return;
    byId('main').hidden = true;
    byId('account').hidden = true;
    byId('sign-in').hidden = false;
    byId('token').focus();
  }

  async #signIn(): Promise<void> {
    const [input, refused] = [byId<HTMLInputElement>('token'), byId('sign-in-refused')];
    const token = input.value.trim();
    input.value = '';
    refused.hidden = true;
    try {
      const response = await new Unseam({ token }).call('post /v1/session', {});
      if (this.#hasEntered) return startAnew(); // this may be another user
      this.#show((await response.json()) as Session);
    } catch (error) {
      refused.hidden = false;
      refused.textContent =
        error instanceof ProblemError
          ? error.message
          : 'The server cannot be reached, or this is not a token.';
      input.focus();
    }
  }

  async #signOut(): Promise<void> {
    await this.unseam.call('delete /v1/session', {});
    startAnew();
  }
}

/** Loads the page again: nothing that was shown stays. */
function startAnew(): void {
  location.hash = '';
  location.reload();
}
