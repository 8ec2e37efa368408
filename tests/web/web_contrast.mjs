// Contrast as WCAG 2.2 computes it (1.4.3 for text, 1.4.11 for what can be operated), of everything that is shown.

// Runs in the page. An array of what is too weak.
export function findWeak() {
    // Every notation of a colour becomes numbers by being painted.
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    const known = new Map();
    const parse = (text) => {
        if (known.has(text))
            return known.get(text);
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = text;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
        known.set(text, [r, g, b, a / 255]);
        return known.get(text);
    };
    const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
    const ground = (node) => {
        const layers = [];
        for (let at = node; at; at = at.parentElement) {
            layers.push(parse(getComputedStyle(at).backgroundColor));
            if (layers.at(-1)[3] === 1)
                break;
        }
        return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
    };
    const luminance = (colour) => {
        const [r, g, b] = colour.map((value) => value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ratio = (one, other) => {
        const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    };
    const weak = [];
    let n = 0;
    const judge = (node, colour, below, least, what) => {
        const found = ratio(over(colour, below), below);
        n++;
        if (found < least)
            weak.push(`${found.toFixed(2)} < ${least}: ${what} of ${node.nodeName} ${node.className?.baseVal ?? node.className} "${node.textContent.trim().slice(0, 30)}"`);
    };
    for (const node of document.body.querySelectorAll('*')) {
        if (!node.checkVisibility() || ['SCRIPT', 'NOSCRIPT'].includes(node.nodeName))
            continue;
        const style = getComputedStyle(node), below = ground(node);
        const hasText = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
        const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
        if (hasText)
            judge(node, parse(style.color), below, large ? 3 : 4.5, 'text');
        if (['INPUT', 'SELECT'].includes(node.nodeName))
            judge(node, parse(style.borderTopColor), ground(node.parentElement), 3, 'border');
        if (node.nodeName === 'path' && style.stroke !== 'none')
            judge(node, parse(style.stroke), below, 3, 'line');
    }
    return { n, weak: [...new Set(weak)] };
}
