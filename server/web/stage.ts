import type Osd from 'openseadragon';
import type { Job } from '../../client/index.js';
import type { ShownPlane } from './plane-chooser.js';

/** OpenSeadragon is a script that the page loads before this one. */
const { OpenSeadragon } = globalThis as unknown as { readonly OpenSeadragon: typeof Osd };

/** Interval of previews while a job runs, in ms. */
const PREVIEW_MS = 1000;

/** The slide with its mask over it. */
export class Stage {
  readonly #viewer: Osd.Viewer;
  #job: Job | null = null;
  /** Of a stack; null for an image of one plane. */
  #plane: ShownPlane | null = null;
  #mask: Osd.TiledImage | null = null;
  #finished = false;
  #opacity = 0.55;
  #lastPreview = 0;
  #loading = false;
  /** The finished mask, while a preview is loading. */
  #next: string | null = null;

  constructor(element: HTMLElement, onZoom: (imageZoom: number) => void) {
    // OpenSeadragon inserts an inline style, which the page's policy forbids, unless it finds an element of this name.
    // The style's rule is in page.css.
    const placeholder = document.createElementNS('urn:unseam', 'style');
    placeholder.setAttribute('data-openseadragon-mobile-css', 'true');
    document.head.append(placeholder);
    this.#viewer = OpenSeadragon({
      element,
      showNavigationControl: false,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
      maxZoomPixelRatio: 8,
      minZoomImageRatio: 0.8,
      visibilityRatio: 0.5,
      animationTime: 0.4,
      // A mask is judged by its pixels.
      imageSmoothingEnabled: false,
      drawer: 'canvas',
      autoResize: false, // it would open a slide in the size of a hidden element: none
    });
    this.#viewer.addHandler('zoom', () => onZoom(this.zoom));
    this.#viewer.addHandler('open', () => {
      this.#resize(element);
      onZoom(this.zoom);
    });
    new ResizeObserver(() => this.#resize(element)).observe(element);
  }

  /** Screen px per px of the slide. */
  get zoom(): number {
    const image = this.#viewer.world.getItemAt(0);
    return image ? image.viewportToImageZoom(this.#viewer.viewport.getZoom()) : 1;
  }

  /**
   * Shows a job, or updates the one that is shown.
   * @param plane of a stack, which is shown first
   */
  show(job: Job, plane: ShownPlane | null): void {
    if (job.id !== this.#job?.id) {
      this.#plane = plane;
      this.#open(job);
    }
    this.#job = job;
    if (job.state === 'succeeded' && !this.#finished) {
      this.#finished = true;
      this.#queueMask(this.#address(job, 'mask'));
      // A preview is of the plane that is computed, which need not be the one that is shown.
    } else if (job.state === 'running' && plane === null) this.#preview(job);
  }

  /** Shows another plane of a stack, and of its mask, in the same place. */
  showPlane(plane: ShownPlane): void {
    const job = this.#job;
    this.#plane = plane;
    if (!job || !this.#viewer.isOpen()) return;
    const tileSource = this.#address(job, 'image') as never;
    this.#viewer.addTiledImage({ tileSource, x: 0, y: 0, width: 1, index: 0, replace: true });
    if (this.#finished) this.#queueMask(this.#address(job, 'mask'));
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

  /** Fits the viewer to its element: a slide shown whole stays whole, a magnified one keeps its zoom. */
  #resize({ clientWidth, clientHeight }: HTMLElement): void {
    if (!this.#viewer.isOpen() || clientWidth === 0) return;
    const { viewport } = this.#viewer;
    const isWhole = Math.abs(viewport.getZoom() / viewport.getHomeZoom() - 1) < 1e-3;
    viewport.resize(new OpenSeadragon.Point(clientWidth, clientHeight), true);
    if (isWhole) viewport.goHome(true);
  }

  /** Zooms to one screen px per px of the slide. */
  full(): void {
    const image = this.#viewer.world.getItemAt(0);
    if (image) this.#viewer.viewport.zoomTo(image.imageToViewportZoom(1));
  }

  close(): void {
    this.#job = null;
    this.#viewer.close();
  }

  #open(job: Job): void {
    this.#mask = null;
    this.#finished = false;
    this.#lastPreview = 0;
    this.#loading = false;
    this.#next = null;
    this.#viewer.close();
    if (job.state === 'failed' || job.state === 'cancelled') return;
    this.#viewer.open(this.#address(job, 'image') as never);
  }

  /** The address of a Deep Zoom image of the plane that is shown. */
  #address({ id }: Job, layer: 'image' | 'mask'): string {
    const plane = this.#plane && `?z=${this.#plane.z}&t=${this.#plane.t}`;
    return `/v1/jobs/${id}/${layer}.dzi${plane ?? ''}`;
  }

  /** Shows a mask, after one that is loading: OpenSeadragon forgets an image that is ready before an earlier one fails. */
  #queueMask(address: string): void {
    if (this.#loading) this.#next = address;
    else this.#showMask(address);
  }

  /** Shows a preview of the mask, updated while tiles are computed. */
  #preview(job: Job): void {
    const now = performance.now();
    if (this.#loading || now - this.#lastPreview < PREVIEW_MS) return;
    this.#lastPreview = now;
    this.#showMask({ type: 'image', url: `/v1/jobs/${job.id}/preview?${Math.round(now)}` });
  }

  /** Lays a mask over the slide, in place of the previous one. */
  #showMask(tileSource: object | string): void {
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
          const { item } = event as { item: Osd.TiledImage };
          if (this.#job?.id !== id) return this.#viewer.world.removeItem(item);
          const before = this.#mask;
          this.#mask = item;
          if (before) this.#viewer.world.removeItem(before);
          this.#loaded();
        },
        error: () => {
          if (this.#job?.id === id) this.#loaded(); // a job that has just ended has no preview
        },
      });
    };
    add();
  }

  /** A mask is shown, or has failed: shows the one that waits. */
  #loaded(): void {
    this.#loading = false;
    if (this.#next !== null) this.#showMask(this.#next);
    this.#next = null;
  }
}
