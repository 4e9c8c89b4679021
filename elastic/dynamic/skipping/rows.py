"""Rows: gather the windows of open pixels, multiply them with the weights in one product, and put the sums back."""

from torch import Tensor

from elastic.dynamic.skipping.conditional import Conditional
from elastic.dynamic.skipping.gathering import add_at, gather, places
from elastic.dynamic.skipping.masks import any_pixel, kind_of

AT_A_TIME = 2**22  # numbers gathered at once; all of 16 images take three times as long, out of the caches


def add_rows(part: Conditional, inputs: Tensor, mask: Tensor, base: Tensor) -> Tensor:
    """Change base to what it is with the conditional part where the mask is open, and return it.

    A product for each group and block of channels. Where each channel has a mask of its own, pixels of which anything
    is open are computed whole, and masked. The mask has pixels.
    """
    each = kind_of(mask, part.outputs) == "both"
    blocks = mask if mask.dim() == 4 and not each else any_pixel(mask)[:, None]
    made, read = part.outputs // part.groups, int(part.weight.shape[1])
    wide = part.outputs // blocks.shape[1]
    size = (inputs.shape[2], inputs.shape[3])
    of = places(size, part.size(*size), part.kernel, part.stride, part.padding, part.dilation)
    for block in range(blocks.shape[1]):
        images, pixels = blocks[:, block].flatten(1).nonzero().unbind(1)
        for group in range(block * wide // made, ((block + 1) * wide - 1) // made + 1):
            begin, end = max(block * wide, group * made), min((block + 1) * wide, (group + 1) * made)
            matrix = part.matrices[group][:, begin - group * made : end - group * made]
            channels = slice(part.first + group * read, part.first + (group + 1) * read)
            step = max(1, AT_A_TIME // len(matrix))
            for now in range(0, len(images), step):
                some, few = images[now : now + step], pixels[now : now + step]
                sums = gather(inputs, channels, some, few, of).flatten(1) @ matrix
                if each:
                    sums *= mask[:, begin:end].flatten(2)[some, :, few]
                add_at(base, slice(begin, end), some, few, sums)
    return base
