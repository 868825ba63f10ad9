/**
 * A Python program that reads images with independent decoders and compares them with the server's overlays. It reads a
 * line of JSON for each image, `{"id", "image", "answer", "planes", "range", "tolerance"}`, and prints one,
 * `{"id", "verdict", "details"}`.
 *
 * `answer` is an overlay of classes without colours, hence the image itself at 8 bits per channel.
 */
export const ORACLE = `
import json, logging, os, resource, sys, warnings
import numpy as np
import tifffile, imagecodecs
from PIL import Image
try:
    import zarr
except ImportError:
    zarr = None
logging.disable(logging.CRITICAL)
warnings.simplefilter('ignore')
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
LIMIT = 40_000_000

def small(shape):
    if int(np.prod([int(n) for n in shape], dtype=object)) > LIMIT:
        raise ValueError(f'too large: {shape}')

def shown_page(page):
    small(page.shape)
    data = page.asarray()
    spp = page.samplesperpixel
    if spp > 1 and int(page.planarconfig) == 2:
        data = np.moveaxis(data, 0, -1)
    bits = page.bitspersample
    photometric = int(page.photometric)
    if page.dtype is not None and page.dtype.kind == 'b':
        data = data.astype('u1'); bits = 1
    if photometric == 3 and page.colormap is not None:
        m = np.asarray(page.colormap)
        m = (m >> 8 if m.max() > 255 else m).astype('u1')
        return m[:, np.minimum(data, m.shape[1] - 1)].transpose(1, 2, 0)
    if photometric == 0:
        data = -data if data.dtype.kind == 'f' else (2 ** bits - 1 if bits < 8 else np.iinfo(data.dtype).max) - data
    if bits < 8:
        data = np.floor(data.astype('f8') * (255 / (2 ** bits - 1))).astype('u1')
    return data

def tiff_pages(path, planes, **_):
    with tifffile.TiffFile(path) as tif:
        pages = [shown_page(tif.pages[p]) for p in planes]
    return pages[0] if len(pages) == 1 else np.stack(pages, -1)

def libtiff(path, planes, **_):
    with open(path, 'rb') as file:
        bytes = file.read()
    with tifffile.TiffFile(path) as tif:
        small(tif.pages[planes[0]].shape)
    if len(planes) > 1:
        raise ValueError('reads a single page only')
    return imagecodecs.tiff_decode(bytes, index=planes[0])

def tiff_series(path, **_):
    with tifffile.TiffFile(path) as tif:
        series = tif.series[0]
        small(series.shape)
        data, axes = series.asarray(), series.axes
    for axis in [a for a in axes if a not in 'CSYX']:
        data = np.take(data, 0, axes.index(axis)); axes = axes.replace(axis, '', 1)
    axes = axes.replace('S', 'C', 1) if 'C' not in axes else axes
    return np.transpose(data, [axes.index(a) for a in 'YXC' if a in axes])

def bilevel(image):
    return np.asarray(image.convert('L')) if image.mode == '1' else np.asarray(image)

def pillow(path, planes, **_):
    with Image.open(path) as image:
        small(image.size)
        if image.format == 'TIFF' and max(planes) < getattr(image, 'n_frames', 1):
            frames = []
            for p in planes:
                image.seek(p); frames.append(bilevel(image))
            return frames[0] if len(frames) == 1 else np.stack(frames, -1)
        image.load()
        if image.mode in ('P', 'PA'):
            return np.asarray(image.convert('RGBA' if 'transparency' in image.info else 'RGB'))
        if image.mode == 'LA':
            return np.asarray(image)[..., :1]
        return bilevel(image)

def gif_frame(path, **_):
    """The first frame of a GIF without the logical screen around it, which may claim any size."""
    with Image.open(path) as image:
        if image.format != 'GIF':
            raise ValueError('not a GIF')
        box = image.tile[0][1]
        small((box[2] - box[0], box[3] - box[1]))
        image = image.crop(box)
        return np.asarray(image.convert('RGBA' if 'transparency' in image.info else 'RGB'))

def codecs(path, **_):
    with open(path, 'rb') as file:
        head = file.read()
    if head[:4] in (b'II*\\0', b'MM\\0*', b'II+\\0', b'MM\\0+'):
        raise ValueError('read as a TIFF')
    for name in ('png', 'jpeg8', 'webp', 'gif', 'avif'):
        try:
            return getattr(imagecodecs, name + '_decode')(head)
        except Exception as error:
            last = error
    raise last

def zarr_level(path, **_):
    if zarr is None:
        raise ValueError('zarr is not installed')
    group = zarr.open_group(path, mode='r')
    attributes = dict(group.attrs)
    image = attributes.get('ome', attributes)['multiscales'][0]
    level = group[image['datasets'][0]['path']]
    small(level.shape)
    data = level[...]
    axes = ''.join(a if isinstance(a, str) else a['name'] for a in image.get('axes', 'tczyx'))
    for axis in [a for a in axes if a not in 'cyx']:
        data = np.take(data, 0, axes.index(axis)); axes = axes.replace(axis, '', 1)
    return np.transpose(data, [axes.index(a) for a in 'yxc' if a in axes])

def shown(data, range):
    """The 8-bit RGB that an overlay shows."""
    if data.ndim == 2:
        data = data[..., None]
    if range:
        low, high = range
        with np.errstate(all='ignore'):
            data = np.floor(np.clip((data.astype('f8') - low) / (high - low), 0, 1) * 255)
    elif data.dtype == np.uint16:
        data = data >> 8
    elif data.dtype.kind == 'b':
        data = data * 255
    data = data.astype('i4')
    return data[..., :3] if data.shape[-1] >= 3 else np.repeat(data[..., :1], 3, -1)

def compare(task):
    with Image.open(task['answer']) as image:
        answer = np.asarray(image.convert('RGB')).astype('i4')
    details = {}
    image = task['image']
    readers = [zarr_level] if os.path.isdir(image) else [tiff_pages, pillow, codecs, libtiff, tiff_series, gif_frame]
    for read in readers:
        try:
            data = shown(read(image, planes=task['planes']), task.get('range'))
        except Exception as error:
            details[read.__name__] = f'{type(error).__name__}: {error}'[:120]
            continue
        if data.shape != answer.shape:
            details[read.__name__] = f'{data.shape}, not {answer.shape}'
            continue
        worst = int(np.abs(data - answer).max())
        if worst <= task['tolerance']:
            return {'verdict': 'agrees', 'by': read.__name__}
        details[read.__name__] = f'differs by {worst} in {int((np.abs(data - answer).max(-1) > task["tolerance"]).sum())} px'
    decoded = any(text.startswith(('differs', '(')) for text in details.values())
    return {'verdict': 'differs' if decoded else 'unreadable', 'details': details}

print(json.dumps({'versions': {'tifffile': tifffile.__version__, 'imagecodecs': imagecodecs.__version__, 'pillow': Image.__version__, 'zarr': zarr and zarr.__version__}}), flush=True)
for line in sys.stdin:
    task = json.loads(line)
    try:
        result = compare(task)
    except Exception as error:
        result = {'verdict': 'unreadable', 'details': {'answer': f'{type(error).__name__}: {error}'[:200]}}
    print(json.dumps({'id': task['id'], **result}), flush=True)
`;
