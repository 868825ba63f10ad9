import type Osd from 'openseadragon';
import type { Job } from './api.js';

/** A script of its own, which the page loads before this one. */
const { OpenSeadragon } = globalThis as unknown as { readonly OpenSeadragon: typeof Osd };

/** Between two pictures of a mask that is being made, in ms. */
const PREVIEW_MS = 1000;

/** The slide with its mask over it. */
export class Stage {
  readonly #viewer: Osd.Viewer;
  #job: Job | null = null;
  #mask: Osd.TiledImage | null = null;
  #finished = false;
  #opacity = 0.55;
  #lastPreview = 0;
  #loading = false;

  constructor(element: HTMLElement, onZoom: (imageZoom: number) => void) {
    // Unless it finds one, OpenSeadragon puts a style into the page, which the page's policy forbids.
    // What it finds is one by its name alone; page.css has the rule.
    const stand = document.createElementNS('urn:unseam', 'style');
    stand.setAttribute('data-openseadragon-mobile-css', 'true');
    document.head.append(stand);
    this.#viewer = OpenSeadragon({
      element,
      showNavigationControl: false,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
      maxZoomPixelRatio: 8,
      minZoomImageRatio: 0.8,
      visibilityRatio: 0.5,
      animationTime: 0.4,
      // Pixels are what one has come to see.
      imageSmoothingEnabled: false,
      drawer: 'canvas',
      autoResize: false, // it takes a hidden element's size, none, for the one that a slide opens in
    });
    this.#viewer.addHandler('zoom', () => onZoom(this.zoom));
    this.#viewer.addHandler('open', () => {
      this.#resize(element);
      onZoom(this.zoom);
    });
    new ResizeObserver(() => this.#resize(element)).observe(element);
  }

  /** Screen px to one px of the slide. */
  get zoom(): number {
    const image = this.#viewer.world.getItemAt(0);
    return image ? image.viewportToImageZoom(this.#viewer.viewport.getZoom()) : 1;
  }

  /** Shows a job, or what is new of it. */
  show(job: Job): void {
    if (job.id !== this.#job?.id) this.#begin(job);
    this.#job = job;
    if (job.state === 'succeeded' && !this.#finished) {
      this.#finished = true;
      this.#put(`/v1/jobs/${job.id}/mask.dzi`);
    } else if (job.state === 'running') this.#preview(job);
  }

  setOpacity(opacity: number): void {
    this.#opacity = opacity;
    this.#mask?.setOpacity(opacity);
  }

  zoomBy(factor: number): void {
    this.#viewer.viewport.zoomBy(factor);
    this.#viewer.viewport.applyConstraints();
  }

  home(): void {
    this.#viewer.viewport.goHome();
  }

  /** Fits the view to its element: a whole slide stays whole, and what is magnified keeps its size. */
  #resize({ clientWidth, clientHeight }: HTMLElement): void {
    if (!this.#viewer.isOpen() || clientWidth === 0) return;
    const { viewport } = this.#viewer;
    const isWhole = Math.abs(viewport.getZoom() / viewport.getHomeZoom() - 1) < 1e-3;
    viewport.resize(new OpenSeadragon.Point(clientWidth, clientHeight), true);
    if (isWhole) viewport.goHome(true);
  }

  /** One px of the slide to one of the screen. */
  full(): void {
    const image = this.#viewer.world.getItemAt(0);
    if (image) this.#viewer.viewport.zoomTo(image.imageToViewportZoom(1));
  }

  close(): void {
    this.#job = null;
    this.#viewer.close();
  }

  #begin(job: Job): void {
    this.#mask = null;
    this.#finished = false;
    this.#lastPreview = 0;
    this.#viewer.close();
    if (job.state === 'failed' || job.state === 'cancelled') return;
    this.#viewer.open(`/v1/jobs/${job.id}/image.dzi` as never);
  }

  /** A small picture of what is done, renewed while tiles come. */
  #preview(job: Job): void {
    const now = performance.now();
    if (this.#loading || now - this.#lastPreview < PREVIEW_MS) return;
    this.#lastPreview = now;
    this.#put({ type: 'image', url: `/v1/jobs/${job.id}/preview?${Math.round(now)}` });
  }

  /** Puts a mask over the slide, in the place of the one before. */
  #put(tileSource: object | string): void {
    const id = this.#job?.id;
    this.#loading = true;
    const add = () => {
      const slide = this.#viewer.world.getItemAt(0);
      if (!slide) {
        this.#viewer.addOnceHandler('open', add);
        return;
      }
      this.#viewer.addTiledImage({
        // An address of a .dzi, too, which its types leave out.
        tileSource: tileSource as never,
        x: 0,
        y: 0,
        width: 1,
        opacity: this.#opacity,
        success: (event: unknown) => {
          this.#loading = false;
          const { item } = event as { item: Osd.TiledImage };
          if (this.#job?.id !== id) return this.#viewer.world.removeItem(item);
          const before = this.#mask;
          this.#mask = item;
          if (before) this.#viewer.world.removeItem(before);
        },
        error: () => {
          this.#loading = false; // a job that has just ended has no preview any more
        },
      });
    };
    add();
  }
}
