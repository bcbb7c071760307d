"""PyTorch: its own layers where it has them, else the formula of the paper in its operations."""

import torch

F = torch.nn.functional


def bernoulli(x, shape, rate):
    return torch.empty(shape, dtype=x.dtype).bernoulli_(1 - rate)


def Dropout(case):
    return lambda x: F.dropout(x, case.rate)


def GaussianDropout(case):
    sigma = (case.rate / (1 - case.rate)) ** 0.5
    return lambda x: x * torch.randn_like(x).mul_(sigma).add_(1)


def AlphaDropout(case):
    return lambda x: F.alpha_dropout(x, case.rate, training=True)


def FeatureAlphaDropout(case):
    return lambda x: F.feature_alpha_dropout(x, case.rate, training=True)


def Standout(case):
    def standout(z):
        keep = torch.sigmoid(z)
        mask = torch.bernoulli(keep.detach())
        return torch.relu(z) * (keep + (mask - keep).detach())  # straight through

    return standout


def ConcreteDropout(case):
    def concrete(x, logit):
        u = torch.rand_like(x)
        z = torch.sigmoid((logit + torch.log(u + 1e-7) - torch.log1p(1e-7 - u)) / 0.1)
        return x * (1 - z) / (1 - torch.sigmoid(logit))

    return concrete


def VariationalGaussianDropout(case):
    return lambda x, log_alpha: x * (1 + torch.exp(log_alpha / 2) * torch.randn_like(x))


def SpatialDropout1D(case):
    return lambda x: F.dropout1d(x, case.rate)


def SpatialDropout2D(case):
    return lambda x: F.dropout2d(x, case.rate)


def SpatialDropout3D(case):
    return lambda x: F.dropout3d(x, case.rate)


def _drop_block(case, pool, block=7):
    size = case.shape[2:]
    valid = [n - block + 1 for n in size]
    gamma = case.rate
    for n, v in zip(size, valid, strict=True):
        gamma *= n / (block * v)

    def drop_block(x):
        seeds = torch.empty(*x.shape[:2], *valid, dtype=x.dtype).bernoulli_(gamma)
        seeds = F.pad(seeds, [block - 1, block - 1] * len(size))
        keep = 1 - pool(seeds, block, stride=1)
        kept = keep.flatten(1).sum(1).view(-1, *[1] * (x.ndim - 1))
        return x * keep * (x[0].numel() / kept)

    return drop_block


def DropBlock1D(case):
    return _drop_block(case, F.max_pool1d)


def DropBlock2D(case):
    return _drop_block(case, F.max_pool2d)


def DropBlock3D(case):
    return _drop_block(case, F.max_pool3d)


def CutoutDropout(case):
    n, _, height, width = case.shape
    h, w = round(case.rate**0.5 * height), round(case.rate**0.5 * width)
    rows, columns = torch.arange(height), torch.arange(width)

    def cutout(x):
        top = torch.randint(height, (n, 1)) - h // 2
        left = torch.randint(width, (n, 1)) - w // 2
        inside = ((rows >= top) & (rows < top + h))[:, None, :, None]
        inside = inside & ((columns >= left) & (columns < left + w))[:, None, None, :]
        return x.masked_fill(inside, 0)

    return cutout


def FeatureDropout(case):
    features = case.shape[1]
    kept = features - round(case.rate * features)

    def feature_dropout(x):
        scale = torch.zeros(features, dtype=x.dtype)
        scale[torch.randperm(features)[:kept]] = features / kept
        return x * scale

    return feature_dropout


def _shared(case, shape):
    return lambda x: x * (bernoulli(x, shape, case.rate) / (1 - case.rate))


def BatchwiseDropout(case):
    return _shared(case, (1, case.shape[1]))


def LockedDropout(case):
    return _shared(case, (case.shape[0], 1, case.shape[2]))


def StochasticDepth(case):
    return _shared(case, (case.shape[0], 1, 1))


def DropConnect(case):
    return lambda x, w: x @ F.dropout(w, case.rate)


WeightDropout = DropConnect


def DropConnect_per_sample(case):
    def drop_connect(x, w):
        masked = F.dropout(w.expand(len(x), *w.shape), case.rate)
        return torch.bmm(x[:, None], masked)[:, 0]

    return drop_connect


def LayerDrop(case):
    return lambda x, w: x.clone() if torch.rand(()) < case.rate else x @ w


def RecurrentDropout(case):
    return lambda c, f, i, g: f * c + i * F.dropout(g, case.rate)


def Zoneout(case):
    def zoneout(new, previous):
        return torch.where(torch.empty_like(new).bernoulli_(case.rate) > 0, previous, new)

    return zoneout


def EmbeddingDropout(case):
    def embedding(tokens, table):
        mask = bernoulli(table, (len(table), 1), case.rate) / (1 - case.rate)
        return F.embedding(tokens, table * mask)

    return embedding


def PatchDropout(case):
    n, tokens, features = case.shape
    kept = tokens - round(case.rate * tokens)

    def patch_dropout(x):
        index = torch.rand(n, tokens).argsort(dim=1)[:, :kept]
        return x.gather(1, index[..., None].expand(-1, -1, features))

    return patch_dropout


def SoftmaxDropout(case):
    return lambda s: F.dropout(torch.softmax(s, -1), case.rate)


def DropHead(case):
    n, heads = case.shape[:2]

    def drop_head(x):
        mask = bernoulli(x, (n, heads, 1, 1), case.rate)
        return x * (mask * heads / mask.sum(1, keepdim=True))

    return drop_head


def RDropLoss(case):
    def loss(logits, labels):
        a, b = torch.log_softmax(logits, dim=1).chunk(2)
        divergence = F.kl_div(a, b, reduction="batchmean", log_target=True)
        divergence = divergence + F.kl_div(b, a, reduction="batchmean", log_target=True)
        return F.nll_loss(a, labels) + F.nll_loss(b, labels) + divergence / 2

    return loss
