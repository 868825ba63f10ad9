import type { Size } from '../../geometry.js';
import type { StackFacts } from '../../planes.js';
import type { PixelSize } from '../../source.js';

/** A class of a mask. */
export interface MaskClass {
  readonly name: string;
  /** `#rrggbb`; null for a class that is transparent. */
  readonly colour: string | null;
}

const SCHEMA = 'http://www.openmicroscopy.org/Schemas/OME/2016-06';

export interface OmeImage {
  readonly name: string;
  readonly size: Size;
  readonly type: string;
  readonly channels: number;
  /** Directories of the file that hold the channels: one each, or one for all, as colours. */
  readonly planes: number;
  readonly mpp: PixelSize | null;
  readonly stack: StackFacts;
  readonly classes: readonly MaskClass[];
}

/**
 * Writes the OME-XML of an OME-TIFF with one picture or stack, by the schema of June 2016: its name, size, type and pixel
 * size, its channels, and the names and colours of its classes as map annotations. Where there is a channel per
 * class, each has its class's name and colour.
 */
export function omeXml({ name, size, type, channels, planes, mpp, stack, classes }: OmeImage): string {
  const { sizeZ, sizeT, zMicrons } = stack;
  const physical =
    (mpp ? `${lengthAttributes('X', mpp.x)}${lengthAttributes('Y', mpp.y)}` : '') +
    (zMicrons ? lengthAttributes('Z', zMicrons) : '');
  const isNamed = planes > 1 && planes === classes.length;
  const channelTags = Array.from({ length: planes }, (_, i) => {
    const label = isNamed ? classes[i]!.name : planes === 1 ? name : `${name} ${i}`;
    const colour = isNamed ? colourAttribute(classes[i]!) : '';
    return `<Channel ID="Channel:0:${i}" Name="${escapeXml(label)}"${colour} SamplesPerPixel="${channels / planes}"/>`;
  });
  const isStack = sizeZ * sizeT > 1;
  const data = isStack
    ? [`<TiffData IFD="0" PlaneCount="${planes * sizeZ * sizeT}"/>`] // in the dimensions' order
    : Array.from({ length: planes }, (_, i) => `<TiffData FirstC="${i}" IFD="${i}" PlaneCount="1"/>`);
  const annotations: (readonly [id: string, values: readonly string[]])[] = [
    ['classes', classes.map((known) => known.name)],
    ['colours', classes.map(({ colour }) => colour ?? '')],
  ];
  const maps = annotations.map(([kind, values], i) => {
    const pairs = values.map((value, k) => `<M K="${k}">${escapeXml(value)}</M>`).join('');
    return `<MapAnnotation ID="Annotation:${i}" Namespace="unseam/${kind}"><Value>${pairs}</Value></MapAnnotation>`;
  });
  return (
    `<?xml version="1.0" encoding="UTF-8"?><OME xmlns="${SCHEMA}">` +
    `<Image ID="Image:0" Name="${escapeXml(name)}"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="${type}" ` +
    `SizeX="${size.width}" SizeY="${size.height}" SizeC="${channels}" SizeZ="${sizeZ}" SizeT="${sizeT}"${physical}>` +
    `${channelTags.join('')}${data.join('')}</Pixels>` +
    (classes.length > 0 ? maps.map((_, i) => `<AnnotationRef ID="Annotation:${i}"/>`).join('') : '') +
    '</Image>' +
    (classes.length > 0 ? `<StructuredAnnotations>${maps.join('')}</StructuredAnnotations>` : '') +
    '</OME>'
  );
}

const lengthAttributes = (axis: string, microns: number): string =>
  ` PhysicalSize${axis}="${microns}" PhysicalSize${axis}Unit="µm"`;

/** OME's colour: red, green, blue and alpha in a signed 32-bit integer. */
function colourAttribute({ colour }: MaskClass): string {
  return colour === null ? '' : ` Color="${((Number.parseInt(colour.slice(1), 16) << 8) | 255) >> 0}"`;
}

const ENTITIES: Record<string, string> = { '<': '&lt;', '>': '&gt;', '&': '&amp;', '"': '&quot;' };

function escapeXml(text: string): string {
  return text.replace(/[<>&"]/g, (c) => ENTITIES[c]!);
}
