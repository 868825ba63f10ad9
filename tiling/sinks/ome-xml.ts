import type { Size } from '../geometry.js';
import type { PixelSize } from '../source.js';

/** A class of a mask. */
export interface MaskClass {
  readonly name: string;
  /** `#rrggbb`, or null for what is shown clear. */
  readonly colour: string | null;
}

const SCHEMA = 'http://www.openmicroscopy.org/Schemas/OME/2016-06';

/**
 * The OME-XML of an OME-TIFF that holds one picture, by the schema of June 2016: its size, type and
 * pixel size, and the names and colours of its classes as map annotations.
 */
export function omeXml(
  size: Size,
  type: string,
  channels: number,
  mpp: PixelSize | null,
  classes: readonly MaskClass[],
): string {
  const physical = mpp
    ? ` PhysicalSizeX="${mpp.x}" PhysicalSizeXUnit="µm" PhysicalSizeY="${mpp.y}" PhysicalSizeYUnit="µm"`
    : '';
  const annotations: (readonly [id: string, values: readonly string[]])[] = [
    ['classes', classes.map(({ name }) => name)],
    ['colours', classes.map(({ colour }) => colour ?? '')],
  ];
  const maps = annotations.map(([name, values], i) => {
    const pairs = values.map((value, k) => `<M K="${k}">${escaped(value)}</M>`).join('');
    return `<MapAnnotation ID="Annotation:${i}" Namespace="unseam/${name}"><Value>${pairs}</Value></MapAnnotation>`;
  });
  return (
    `<?xml version="1.0" encoding="UTF-8"?><OME xmlns="${SCHEMA}">` +
    `<Image ID="Image:0" Name="mask"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="${type}" ` +
    `SizeX="${size.width}" SizeY="${size.height}" SizeC="${channels}" SizeZ="1" SizeT="1"${physical}>` +
    `<Channel ID="Channel:0:0" SamplesPerPixel="${channels}"/><TiffData IFD="0" PlaneCount="1"/></Pixels>` +
    (classes.length > 0 ? maps.map((_, i) => `<AnnotationRef ID="Annotation:${i}"/>`).join('') : '') +
    '</Image>' +
    (classes.length > 0 ? `<StructuredAnnotations>${maps.join('')}</StructuredAnnotations>` : '') +
    '</OME>'
  );
}

function escaped(text: string): string {
  return text.replace(/[<>&"]/g, (c) => `&#${c.charCodeAt(0)};`);
}
